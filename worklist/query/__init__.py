"""C-FIND on the Modality Worklist (PS3.4 annex K): query, matching and response.

In reading order:

- information_model: the attributes, matching keys and return keys, in one table (table K.6-1). Start here.
- matching: which items match a query's keys (C.2.2.2); person_names: how names are compared (C.2.2.2.1, PS3.5 6.2).
- response: the data set of a response (K.4.1.1.3.2) and its character set (PS3.5 6.1.2); transliteration: how text is
  spelled for a modality that lacks some of its characters.
- response_plan: the same responses as bytes, for thousands of rows.
- find: the C-FIND handler, which puts these together (K.4.1).
- delivery_log: the record of which item was delivered to which modality; kept_keys: what it keeps of a query's keys.
- explanation: why a query shows an item or does not, from the same rules. worklist.services.explain_query uses it.

All but find and delivery_log are pure: they know neither Django nor pynetdicom.
"""
