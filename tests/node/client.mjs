// An editor made of Microsoft's own client library: it shares no code with the server, with pygls or with lsprotocol.
// usage: node client.mjs FOLDER FILE OPTIONS -- COMMAND...; prints what it saw as one JSON object.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  CodeActionRequest, CodeActionResolveRequest, CompletionRequest, ConfigurationRequest,
  DidChangeTextDocumentNotification, DidOpenTextDocumentNotification, DocumentDiagnosticRequest,
  ExecuteCommandRequest, ExitNotification, InitializeRequest, InitializedNotification, InlineCompletionRequest,
  RegistrationRequest, ShowDocumentRequest, ShowMessageNotification, ShutdownRequest,
  StreamMessageReader, StreamMessageWriter, WorkDoneProgress, WorkDoneProgressCreateRequest,
  createProtocolConnection,
} from 'vscode-languageserver-protocol/node';

const LIMIT_MS = 300_000;
const split = process.argv.indexOf('--');
const [folder, file, options] = process.argv.slice(2, split);
const [command, ...args] = process.argv.slice(split + 1);
const uri = pathToFileURL(join(folder, file)).href;
const text = readFileSync(join(folder, file), 'utf8');
const seen = { messages: [], registered: [], progress: [], shown: [], errors: [] };

const giveUp = setTimeout(() => fail(new Error('the whole conversation took too long')), LIMIT_MS);
const server = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
const exited = new Promise((resolve) => server.on('exit', resolve));
const connection = createProtocolConnection(
  new StreamMessageReader(server.stdout), new StreamMessageWriter(server.stdin), {
    error: (message) => seen.errors.push(message), warn: (message) => seen.errors.push(message), info() {}, log() {},
  },
);

function fail(error) {
  console.error(error);
  server.kill();
  process.exit(1);
}

const readable = [];
connection.onRequest(ConfigurationRequest.type, ({ items }) => items.map(() => null));
connection.onRequest(RegistrationRequest.type, ({ registrations }) => {
  seen.registered.push(...registrations.map((registration) => registration.method));
});
connection.onRequest(WorkDoneProgressCreateRequest.type, ({ token }) => {
  connection.onProgress(WorkDoneProgress.type, token, (value) => {
    seen.progress.push([token, value.kind]);
    if (value.kind === 'end') readable.splice(0).forEach((resolve) => resolve());
  });
});
connection.onRequest(ShowDocumentRequest.type, (params) => {
  seen.shown.push(readFileSync(new URL(params.uri), 'utf8'));
  return { success: true };
});
connection.onNotification(ShowMessageNotification.type, ({ message }) => seen.messages.push(message));

async function resident() {
  for (;;) {
    const status = await connection.sendRequest('gemma-lsp/status');
    const [workspace] = status.workspaces;
    if (workspace.state === 'failed') throw new Error(workspace.error);
    if (workspace.state === 'ready') return status;
    await new Promise((resolve) => { readable.push(resolve); setTimeout(resolve, 1000); });
  }
}

async function talk() {
  connection.listen();
  const { capabilities, serverInfo } = await connection.sendRequest(InitializeRequest.type, {
    processId: process.pid,
    clientInfo: { name: 'gemma-lsp node test' },
    rootUri: pathToFileURL(folder).href,
    workspaceFolders: [{ uri: pathToFileURL(folder).href, name: 'sample' }],
    initializationOptions: JSON.parse(options),
    capabilities: {
      workspace: { configuration: true, didChangeWatchedFiles: { dynamicRegistration: true } },
      window: { workDoneProgress: true, showDocument: { support: true } },
      textDocument: { inlineCompletion: { dynamicRegistration: true }, diagnostic: {} },
    },
  });
  seen.server = serverInfo.name;
  seen.encoding = capabilities.positionEncoding;
  await connection.sendNotification(InitializedNotification.type, {});
  await connection.sendNotification(DidOpenTextDocumentNotification.type, {
    textDocument: { uri, languageId: 'python', version: 1, text },
  });
  seen.resident = (await resident()).workspaces[0].residentTokens;

  const lines = text.split('\n');
  const end = { line: lines.length - 1, character: lines.at(-1).length };
  const typed = '\n\ndef longest_first(boxes: list[Dimensions]) -> list[Dimensions]:\n    return sorted(boxes, key=lambda ';
  await connection.sendNotification(DidChangeTextDocumentNotification.type, {
    textDocument: { uri, version: 2 }, contentChanges: [{ range: { start: end, end }, text: typed }],
  });
  const cursor = { line: end.line + 3, character: typed.split('\n').at(-1).length };
  const inline = { textDocument: { uri }, position: cursor, context: { triggerKind: 1 } };
  const answer = await connection.sendRequest(InlineCompletionRequest.type, inline);
  seen.inline = answer.items.map((item) => item.insertText);
  seen.range = answer.items[0]?.range;
  seen.cursor = cursor;
  seen.again = (await connection.sendRequest(InlineCompletionRequest.type, inline)).items.map((item) => item.insertText);
  seen.completion = await connection.sendRequest(CompletionRequest.type, { textDocument: { uri }, position: cursor });

  const first = lines.findIndex((line) => line.includes('def volume_cm3'));
  const range = { start: { line: first, character: 0 }, end: { line: first + 3, character: 0 } };
  const actions = await connection.sendRequest(
    CodeActionRequest.type, { textDocument: { uri }, range, context: { diagnostics: [] } },
  );
  const action = await connection.sendRequest(CodeActionResolveRequest.type, actions[0]);
  seen.actions = actions.map(({ title, kind }) => [title, kind]);
  const explain = { command: action.command.command, arguments: action.command.arguments };
  seen.explained = (await connection.sendRequest(ExecuteCommandRequest.type, explain)).markdown;

  const diagnostic = await connection.sendRequest(DocumentDiagnosticRequest.type, { textDocument: { uri } });
  seen.diagnostic = diagnostic.kind;

  seen.errorCodes = [];
  for (const [method, params] of [['no/such', {}], ['textDocument/completion', { textDocument: 3 }], ['initialize', {
    processId: null, rootUri: null, capabilities: {},
  }]]) {
    await connection.sendRequest(method, params).catch((error) => seen.errorCodes.push(error.code));
  }
  await connection.sendRequest(ShutdownRequest.type);
  await connection.sendRequest(InlineCompletionRequest.type, inline).catch((error) => seen.errorCodes.push(error.code));
  await connection.sendNotification(ExitNotification.type);
  seen.exitCode = await exited;
  clearTimeout(giveUp);
  console.log(JSON.stringify(seen));
  process.exit(0);
}

talk().catch(fail);
