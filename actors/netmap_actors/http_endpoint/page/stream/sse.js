// Server-sent events from chunks of text (HTML Living Standard, 9.2.6). Comments are reported, too: they tell that the
// other side is alive. Pure.

/**
 * @param {{onEvent: (event: {type: string, data: string, id: string}) => void, onComment: (text: string) => void}} to
 * @returns {(chunk: string) => void}
 */
export function createParser({onEvent, onComment}) {
  let pieces = []; // of the line that is not complete: a snapshot of a large tailnet comes in thousands of chunks
  let afterCr = false;
  let type = "";
  let data = [];
  let id = "";

  return function push(chunk) {
    let from = 0;
    if (afterCr && chunk !== "") {
      if (chunk[0] === "\n") from = 1;
      afterCr = false;
    }
    const end = /\r\n|\r|\n/g;
    end.lastIndex = from;
    for (let found = end.exec(chunk); found; found = end.exec(chunk)) {
      pieces.push(chunk.slice(from, found.index));
      const line = pieces.join("");
      pieces = [];
      from = end.lastIndex;
      if (found[0] === "\r" && from === chunk.length) afterCr = true;
      take(line);
    }
    if (from < chunk.length) pieces.push(chunk.slice(from));
  };

  function take(line) {
    if (line === "") {
      if (data.length) onEvent({type: type || "message", data: data.join("\n"), id});
      type = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) {
      onComment(line.slice(1));
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") type = value;
    else if (name === "data") data.push(value);
    else if (name === "id" && !value.includes("\0")) id = value;
  }
}
