import { describe, expect, test } from "vitest";
import { readEvents } from "../src/lib";

const TEXT =
  'id: 1\ndata: {"type":"token","content":"Grüße 👍"}\n\n: keep-alive\n\nid: 2\r\ndata: 日本\r\n\r\n';
const EXPECTED = [
  { id: "1", data: '{"type":"token","content":"Grüße 👍"}' },
  { id: "2", data: "日本" },
];

function bodyOf(chunks: Uint8Array[], isOpen = false): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      if (!isOpen) controller.close();
    },
  });
}

async function collect(chunks: Uint8Array[]) {
  const found = [];
  for await (const { id, data } of readEvents(bodyOf(chunks))) found.push({ id, data });
  return found;
}

describe("readEvents", () => {
  const bytes = new TextEncoder().encode(TEXT);

  test("takes bytes one by one, within lines and characters", async () => {
    expect(await collect(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(EXPECTED);
  });

  test("takes a cut at any place", async () => {
    for (let cut = 1; cut < bytes.length; cut++)
      expect(await collect([bytes.slice(0, cut), bytes.slice(cut)])).toEqual(EXPECTED);
  });

  test("does not give an event whose end never came", async () => {
    const all = new TextEncoder().encode("id: 1\ndata: a\n\nid: 2\ndata: b\n");
    expect(await collect([all])).toEqual([{ id: "1", data: "a" }]);
  });

  test("leaves a stream that is silent for too long", async () => {
    const found = [];
    const body = bodyOf([new TextEncoder().encode("data: a\n\n")], true);
    for await (const { data } of readEvents(body, 20)) found.push(data);
    expect(found).toEqual(["a"]);
  });
});
