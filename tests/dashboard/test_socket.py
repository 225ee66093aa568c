"""The live page's WebSocket, over a server that runs: who is let in, what is sent, when it ends."""

import signal
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from core.models import Heartbeat
from dashboard.consumers import NOT_LOGGED_IN, TRY_AGAIN_LATER
from tests.dashboard.conftest import Page, Web, log_in, logged_in, running_web, session_of
from tests.dashboard.records import configure_modality, deliver, item_of_today, perform
from tests.database import in_database_thread
from tests.processes import processes
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("groups"), pytest.mark.once]


def forget_permissions() -> None:
    """The clinic's group sees no patients any more."""
    Group.objects.get(name="clinic").permissions.clear()


def rename(old: str, new: str) -> None:
    """A table is not where it was: to whoever asks, the database is of no use."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def shown(text: str) -> Callable[[Page], bool]:
    """Whether it stands on a page."""
    return lambda page: text in page


@pytest.fixture(scope="module")
def shared_web(django_db_setup: None) -> Iterator[Web]:
    """One server for all tests but those of its end. It looks at the database anew when somebody opens the page."""
    with processes() as start:
        yield running_web(start)


class TestLookingOn:
    async def test_everything_comes_first_and_then_what_has_changed(self, shared_web: Web) -> None:
        item = await in_database_thread(lambda: item_of_today(patient_name="SMITH^JANE"))
        async with shared_web.open_page(await logged_in()) as page:
            first = await page.next()
            assert first["whole"]
            assert {"day", "summary", "attention", "relay", "worklist", "images", "modalities", *first["rooms"]} == set(
                first["fragments"]
            )
            assert "SMITH, JANE" in page
            await in_database_thread(lambda: deliver(item))
            later = await page.until(shown("MAMMO1 since"))
            assert not later["whole"]
            assert set(later["fragments"]) == {"summary", *first["rooms"]}
            assert later["rooms"] is None

    async def test_a_room_that_is_new_comes_with_the_order_of_all(self, shared_web: Web) -> None:
        await in_database_thread(lambda: item_of_today(station_ae_title="MAMMO2"))
        async with shared_web.open_page(await logged_in()) as page:
            (known,) = (await page.next())["rooms"]
            await in_database_thread(lambda: item_of_today(station_ae_title="MAMMO1"))
            assert (await page.until(lambda page: page.messages[-1]["rooms"] is not None))["rooms"][1] == known

    async def test_what_a_machine_reports_is_seen(self, shared_web: Web) -> None:
        item = await in_database_thread(item_of_today)
        async with shared_web.open_page(await logged_in()) as page:
            await page.next()

            def begin() -> None:
                perform(item)
                WorklistItem.objects.filter(pk=item.pk).update(status="IN PROGRESS")

            await in_database_thread(begin)
            await page.until(shown("woman--in_progress"))

    async def test_without_any_change_it_is_told_that_it_is_up_to_date(self, shared_web: Web) -> None:
        async with shared_web.open_page(await logged_in()) as page:
            first = await page.next()
            again = await page.until(lambda page: page.messages[-1]["at"] > first["at"])
            assert again["fragments"] == {}

    async def test_one_without_the_permission_is_told_numbers_only(self, shared_web: Web) -> None:
        await in_database_thread(lambda: item_of_today(patient_name="SMITH^JANE"))
        async with shared_web.open_page(await logged_in("support")) as page:
            await page.next()
            assert "SMITH" not in page
            assert "Scheduled" in page

    async def test_two_look_on_at_once_each_at_what_they_may(self, shared_web: Web) -> None:
        await in_database_thread(configure_modality)
        sessions = await logged_in("clinic"), await logged_in("support")
        async with shared_web.open_page(sessions[0]) as one, shared_web.open_page(sessions[1]) as other:
            await one.next()
            await other.next()
            await in_database_thread(lambda: item_of_today(patient_name="SMITH^JANE"))
            await one.until(shown("SMITH, JANE"))
            await other.until(shown("1 to do, 1 in total"))
            assert "SMITH" not in other


class TestWhoIsLetIn:
    async def test_without_a_session_nobody(self, shared_web: Web) -> None:
        async with shared_web.open_page() as page:
            assert await page.close_code() == NOT_LOGGED_IN
            assert page.messages == []

    async def test_with_a_made_up_session_nobody(self, shared_web: Web) -> None:
        async with shared_web.open_page("abcdefghijklmnopqrstuvwxyz012345") as page:
            assert await page.close_code() == NOT_LOGGED_IN

    async def test_what_is_no_session_key_is_refused_without_a_look_at_the_database(self, shared_web: Web) -> None:
        await in_database_thread(lambda: rename(Session._meta.db_table, "elsewhere"))
        try:
            async with shared_web.open_page("guess") as page:
                assert await page.close_code() == NOT_LOGGED_IN
            async with shared_web.open_page("abcdefghijklmnopqrstuvwxyz012345") as page:
                assert await page.close_code() == TRY_AGAIN_LATER
        finally:
            await in_database_thread(lambda: rename("elsewhere", Session._meta.db_table))

    async def test_a_session_without_a_login_lets_nobody_in(self, shared_web: Web) -> None:
        def anonymous() -> str:
            session = SessionStore()
            session["basket"] = 1
            session.save()
            return str(session.session_key)

        async with shared_web.open_page(await in_database_thread(anonymous)) as page:
            assert await page.close_code() == NOT_LOGGED_IN

    @pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9999"])
    async def test_another_origin_is_refused_whatever_its_cookie(self, shared_web: Web, origin: str) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with shared_web.open_page(await logged_in(), origin=origin):
                pass
        assert refused.value.response.status_code == 403


class TestWhatEndsIt:
    async def ended(self, web: Web, how: Callable[[User], object]) -> int:
        """The code with which an open page is closed after this."""
        session = await logged_in()
        async with web.open_page(session) as page:
            await page.next()
            await in_database_thread(lambda: how(User.objects.get(username="clinic")))
            return await page.close_code()

    async def test_logging_out(self, shared_web: Web) -> None:
        assert await self.ended(shared_web, lambda _: Session.objects.all().delete()) == NOT_LOGGED_IN

    async def test_a_session_that_expires(self, shared_web: Web) -> None:
        expire = lambda _: Session.objects.update(expire_date=timezone.now())  # noqa: E731
        assert await self.ended(shared_web, expire) == NOT_LOGGED_IN

    async def test_a_user_who_is_not_active_any_more(self, shared_web: Web) -> None:
        assert await self.ended(shared_web, lambda _: User.objects.update(is_active=False)) == NOT_LOGGED_IN

    async def test_another_password(self, shared_web: Web) -> None:
        def change(user: User) -> None:
            user.set_password("another")
            user.save()

        assert await self.ended(shared_web, change) == NOT_LOGGED_IN

    async def test_one_session_of_two_ends_alone(self, shared_web: Web) -> None:
        first = await logged_in()
        second = await in_database_thread(lambda: session_of(User.objects.get(username="clinic")))
        async with shared_web.open_page(first) as one, shared_web.open_page(second) as other:
            await other.next()
            await in_database_thread(lambda: Session.objects.filter(session_key=first).delete())
            assert await one.close_code() == NOT_LOGGED_IN
            await other.next()

    async def test_who_loses_the_permission_sees_numbers_from_then_on(self, shared_web: Web) -> None:
        await in_database_thread(lambda: item_of_today(patient_name="SMITH^JANE"))
        async with shared_web.open_page(await logged_in()) as page:
            await page.next()
            assert "SMITH, JANE" in page
            await in_database_thread(forget_permissions)
            await page.until(lambda page: "SMITH" not in page)

    async def test_who_gets_the_permission_sees_the_women_from_then_on(self, shared_web: Web) -> None:
        await in_database_thread(lambda: item_of_today(patient_name="SMITH^JANE"))
        async with shared_web.open_page(await logged_in("support")) as page:
            await page.next()
            await in_database_thread(lambda: log_in("clinic", name="support"))
            await page.until(shown("SMITH, JANE"))

    async def test_a_server_that_is_told_to_end_closes_all_pages_and_ends(self, web: Web) -> None:
        async with web.open_page(await logged_in()) as one, web.open_page(await logged_in()) as other:
            await one.next()
            web.process.send_signal(signal.SIGTERM)
            assert {await one.close_code(), await other.close_code()} == {1012}
        assert web.process.exit_status(patience=5) == 0


class TestDatabaseDown:
    async def test_the_page_says_since_when_and_recovers_by_itself(self, web: Web) -> None:
        table = Heartbeat._meta.db_table
        async with web.open_page(await logged_in()) as page:
            first = await page.next()
            await in_database_thread(lambda: rename(table, "elsewhere"))
            try:
                away = await page.until(lambda page: bool(page.messages[-1]["unreachable_since"]))
                assert away["unreachable_since"] >= first["at"]
                assert away["fragments"] == {}
            finally:
                await in_database_thread(lambda: rename("elsewhere", table))
            await page.until(lambda page: not page.messages[-1]["unreachable_since"])
