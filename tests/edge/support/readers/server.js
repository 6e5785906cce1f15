// Answers with the paths that Node's own parsers read in a request's target, one a line.
const http = require("http");
const url = require("url");
const server = http.createServer((request, response) => {
  const read = [request.url.split("?")[0]];
  try { read.push(new URL(request.url, "http://base").pathname); } catch {}
  try { read.push(url.parse(request.url).pathname ?? ""); } catch {}
  const decoded = read.flatMap((path) => { try { return [path, decodeURIComponent(path)]; } catch { return [path]; } });
  response.end(JSON.stringify(decoded));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
