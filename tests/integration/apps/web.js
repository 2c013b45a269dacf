// The Node.js application of the integration tests: node web.js NAME ADDRESS, where
// ADDRESS is a port of the loopback or the path of a Unix socket. The path says what it
// does.
//
//   /            its name
//   /head        the request's headers as it got them, as JSON: [[name, value]...]
//   /connection  the number of the connection that the request came on
//   /digest      length and SHA-256 of the body, as JSON
//   /mirror      the body, back as it comes (chunked)
//   /big/N       N bytes with a Content-Length
//   /sleep/MS    its name, later
//   /status/NNN  an answer of that status
//   WebSocket    what the client sends is sent back, text for text and bytes for bytes
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const http = require("http");

const [name, address] = process.argv.slice(2);
let connections = 0;

function send(response, body, status = 200) {
  const bytes = Buffer.from(body);
  response.writeHead(status, { "Content-Length": bytes.length });
  response.end(bytes);
}

function digest(request, response) {
  const sha = crypto.createHash("sha256");
  let size = 0;
  request.on("data", (data) => { sha.update(data); size += data.length; });
  request.on("end", () => send(response, JSON.stringify({
    bytes: size, sha256: sha.digest("hex"), name, headers: request.headers })));
}

function big(response, size) {
  const block = Buffer.alloc(65536, "0123456789abcdef");
  response.writeHead(200, { "Content-Length": size });
  let left = size;
  const more = () => {
    while (left > 0) {
      const piece = block.subarray(0, Math.min(left, block.length));
      left -= piece.length;
      if (!response.write(piece)) { response.once("drain", more); return; }
    }
    response.end();
  };
  more();
}

function pairs(raw) {
  const found = [];
  for (let at = 0; at < raw.length; at += 2) found.push([raw[at], raw[at + 1]]);
  return found;
}

const server = http.createServer((request, response) => {
  const [, what, argument] = request.url.split("?")[0].split("/");
  switch (what) {
    case "head": send(response, JSON.stringify(pairs(request.rawHeaders))); break;
    case "connection": send(response, String(request.socket.number)); break;
    case "digest": digest(request, response); break;
    case "mirror": request.pipe(response); break;
    case "big": big(response, Number(argument)); break;
    case "sleep": setTimeout(() => send(response, name), Number(argument)); break;
    case "status": send(response, argument, Number(argument)); break;
    default: send(response, name);
  }
});

// One frame at the start of `bytes`: {opcode, payload, size}, or null while it is not whole.
function frame(bytes) {
  if (bytes.length < 2) return null;
  let size = bytes[1] & 0x7f;
  let at = 2;
  if (size === 126) { if (bytes.length < 4) return null; size = bytes.readUInt16BE(2); at = 4; }
  if (size === 127) { if (bytes.length < 10) return null; size = Number(bytes.readBigUInt64BE(2)); at = 10; }
  if (bytes.length < at + 4 + size) return null;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size));
  for (let i = 0; i < size; ++i) payload[i] ^= mask[i % 4];
  return { opcode: bytes[0] & 0x0f, payload, size: at + 4 + size };
}

function framed(opcode, payload) {
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (head.length === 2) head[1] = payload.length;
  if (head.length === 4) { head[1] = 126; head.writeUInt16BE(payload.length, 2); }
  if (head.length === 10) { head[1] = 127; head.writeBigUInt64BE(BigInt(payload.length), 2); }
  return Buffer.concat([head, payload]);
}

server.on("upgrade", (request, socket, first) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
               `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let bytes = first;
  const echo = () => {
    for (let got = frame(bytes); got; got = frame(bytes)) {
      bytes = bytes.subarray(got.size);
      socket.write(framed(got.opcode, got.payload));
      if (got.opcode === 8) socket.end();
    }
  };
  socket.on("data", (data) => { bytes = Buffer.concat([bytes, data]); echo(); });
  socket.on("error", () => socket.destroy());
  echo();
});

server.on("connection", (socket) => { socket.number = ++connections; });
if (/^\d+$/.test(address)) {
  server.listen(Number(address), "127.0.0.1");
} else {
  server.listen(address, () => fs.chmodSync(address, 0o666));
}
