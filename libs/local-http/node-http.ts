// The engine's HTTP module, without what an `import` of it brings along: that reads all its exports once, and one of them loads the engine's
// client for fetch and WebSocket: 4 MB and up to 80 ms of every process, of which a machine has one for each agent. Types are imported as usual.
const { createServer, request, get, STATUS_CODES } = process.getBuiltinModule('node:http');

export { createServer, get, request, STATUS_CODES };
