// Sends requests over one as a modality that shares no code with ours: node modality.js PORT CALLING CALLED
// Reads them from its standard input as a JSON list of {request, uid, elements}, the elements in the DICOM JSON model, and
// prints each response as a line of JSON: {request, status, elements}, the elements by keyword.

const { Client, Dataset, constants, requests } = require('dcmjs-dimse');
const { DicomMetaDictionary } = require('dcmjs').data;

const [port, calling, called] = process.argv.slice(2);
const MPPS = constants.SopClass.ModalityPerformedProcedureStep;
const KINDS = {
  'C-ECHO': () => new requests.CEchoRequest(),
  'C-FIND': ({ elements }) => withDataset(requests.CFindRequest.createWorklistFindRequest({}), elements),
  'N-CREATE': ({ uid, elements }) => withDataset(new requests.NCreateRequest(MPPS, uid), elements),
  'N-SET': ({ uid, elements }) => withDataset(new requests.NSetRequest(MPPS, uid), elements),
};

function withDataset(request, elements) {
  request.setDataset(new Dataset(DicomMetaDictionary.naturalizeDataset(elements)));
  return request;
}

function fail(problem) {
  console.error(problem);
  process.exit(1);
}

const client = new Client();
for (const wanted of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  const request = KINDS[wanted.request](wanted);
  request.on('response', (response) => {
    const elements = response.hasDataset() ? response.getDataset().getElements() : {};
    console.log(JSON.stringify({ request: wanted.request, status: response.getStatus(), elements }));
  });
  client.addRequest(request);
}
client.on('networkError', fail);
client.on('associationRejected', () => fail('rejected'));
client.send('127.0.0.1', Number(port), calling, called);
