import { act, renderHook, waitFor } from "@testing-library/react";
import { describe, expect, test } from "vitest";
import { createClient, useStreamingChat } from "../src/lib";
import { breakOff, done, event, json, openStream, token, withServer } from "./server";

const STREAM = "POST /chat/stream";
const server = withServer();

function renderChat(options: { retryDelays?: number[]; idleMs?: number } = { retryDelays: [1, 1, 1] }) {
  const client = createClient({ baseUrl: server.url });
  return renderHook(() => useStreamingChat(client, options));
}

describe("useStreamingChat", () => {
  test("gives the answer as it comes, and the trace at the end", async () => {
    let finish = () => {};
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "Hello"), token(2, " world"));
      finish = () => response.end(done(3));
    });
    const { result } = renderChat();
    act(() => void result.current.sendStreamingMessage("hi"));
    await waitFor(() => expect(result.current.streamingContent).toBe("Hello world"));
    expect(result.current).toMatchObject({ isStreaming: true, traceId: null, error: null });
    act(finish);
    await waitFor(() => expect(result.current.isStreaming).toBe(false));
    expect(result.current).toMatchObject({
      streamingContent: "Hello world",
      traceId: "tr-1",
      clientRequestId: "request-1",
      feedbackToken: "token-1",
      error: null,
    });
    expect(server.asked[0]?.body).toEqual({ message: "hi" });
  });

  test("puts characters together that come in pieces", async () => {
    server.on(STREAM, (_asked, response) => {
      openStream(response);
      const bytes = Buffer.from(token(1, "Grüße 👍 日本") + done(2));
      let place = 0;
      const timer = setInterval(() => {
        response.write(bytes.subarray(place, place + 7));
        place += 7;
        if (place >= bytes.length) {
          clearInterval(timer);
          response.end();
        }
      }, 1);
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current).toMatchObject({ streamingContent: "Grüße 👍 日本", traceId: "tr-1" });
  });

  test("begins each message with a state of its own", async () => {
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "old"), done(2));
      response.end();
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("one"));
    expect(result.current.traceId).toBe("tr-1");
    server.on(STREAM, (_asked, response) => openStream(response));
    act(() => void result.current.sendStreamingMessage("two"));
    expect(result.current).toMatchObject({
      streamingContent: "",
      isStreaming: true,
      traceId: null,
      feedbackToken: null,
      error: null,
    });
    expect(result.current.clientRequestId).not.toBe("request-1");
  });

  test("forgets the error of the message before", async () => {
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "half"), event(2, { type: "error", error: "The model failed." }));
      response.end();
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("one"));
    expect(result.current).toMatchObject({
      error: "The model failed.",
      streamingContent: "half",
      traceId: null,
      isStreaming: false,
    });
    server.on(STREAM, (_asked, response) => openStream(response));
    act(() => void result.current.sendStreamingMessage("two"));
    expect(result.current.error).toBeNull();
  });

  test("goes on where a broken stream was, without anything twice", async () => {
    server.on(STREAM, ({ headers }, response) => {
      if (headers["last-event-id"] === undefined) {
        openStream(response, token(1, "one "), token(2, "two "), "id: 3\ndata: {half");
        breakOff(response);
      } else {
        openStream(response, token(2, "two "), token(3, "three"), done(4));
        response.end();
      }
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current).toMatchObject({ streamingContent: "one two three", traceId: "tr-1", error: null });
    const [first, second] = server.to(STREAM);
    expect(second?.headers["x-request-id"]).toBe(first?.headers["x-request-id"]);
    expect(second?.headers["last-event-id"]).toBe("2");
    expect(second?.body).toEqual({ message: "hi" });
  });

  test("takes a stream that ends without a word for a broken one", async () => {
    server.on(STREAM, ({ headers }, response) => {
      if (headers["last-event-id"] === undefined) openStream(response, token(1, "one "));
      else openStream(response, token(2, "two"), done(3));
      response.end();
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current).toMatchObject({ streamingContent: "one two", error: null });
  });

  test("leaves a silent connection for a new one", async () => {
    server.on(STREAM, ({ headers }, response) => {
      if (headers["last-event-id"] === undefined) openStream(response, token(1, "one "));
      else openStream(response, token(2, "two"), done(3));
    });
    const { result } = renderChat({ retryDelays: [1], idleMs: 50 });
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current).toMatchObject({ streamingContent: "one two", error: null });
  });

  test("gives up after the last try", async () => {
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "one "));
      breakOff(response);
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current.error).toMatch(/connection was lost/);
    expect(result.current).toMatchObject({ streamingContent: "one ", isStreaming: false, traceId: null });
    expect(server.to(STREAM)).toHaveLength(4);
  });

  test("says why the server did not answer, after the last try", async () => {
    server.on(STREAM, (_asked, response) =>
      json(response, 503, { detail: "Too many answers are under way." }),
    );
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current.error).toBe("Too many answers are under way.");
    expect(server.to(STREAM)).toHaveLength(4);
  });

  test("asks again no sooner than the server wants, and not at all where that is too late", async () => {
    const times: number[] = [];
    server.on(STREAM, (_asked, response) => {
      times.push(performance.now());
      response.setHeader("Retry-After", times.length === 1 ? "1" : "60");
      json(response, 429, { detail: "Too many requests." });
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current.error).toBe("Too many requests.");
    expect(times).toHaveLength(2);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990);
  });

  test("does not ask again for what is gone", async () => {
    server.on(STREAM, ({ headers }, response) => {
      if (headers["last-event-id"] !== undefined)
        return json(response, 410, { detail: "Ask again, please." });
      openStream(response, token(1, "one "));
      breakOff(response);
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("hi"));
    expect(result.current.error).toBe("Ask again, please.");
    expect(server.to(STREAM)).toHaveLength(2);
  });

  test("says that it is reconnecting", async () => {
    server.on(STREAM, ({ headers }, response) => {
      openStream(response, token(1, "one "));
      if (headers["last-event-id"] === undefined) breakOff(response);
    });
    const { result } = renderChat({ retryDelays: [10_000] });
    act(() => void result.current.sendStreamingMessage("hi"));
    await waitFor(() => expect(result.current.isReconnecting).toBe(true));
    act(() => result.current.stop());
    await waitFor(() => expect(result.current).toMatchObject({ isStreaming: false, isReconnecting: false }));
    expect(result.current).toMatchObject({ streamingContent: "one ", error: null });
  });

  test("leaves the stream when it goes away", async () => {
    let isLeft = false;
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "one "));
      response.on("close", () => {
        isLeft = true;
      });
    });
    const { result, unmount } = renderChat();
    act(() => void result.current.sendStreamingMessage("hi"));
    await waitFor(() => expect(result.current.streamingContent).toBe("one "));
    unmount();
    await waitFor(() => expect(isLeft).toBe(true));
    expect(server.to(STREAM)).toHaveLength(1);
  });

  test("keeps the visitor's id that the server made", async () => {
    server.on(STREAM, (_asked, response) => {
      response.setHeader("X-User-ID", "visitor-1");
      openStream(response, done(1));
      response.end();
    });
    const { result } = renderChat();
    await act(() => result.current.sendStreamingMessage("one"));
    await act(() => result.current.sendStreamingMessage("two"));
    const [first, second] = server.to(STREAM);
    expect(first?.headers["x-user-id"]).toBeUndefined();
    expect(second?.headers["x-user-id"]).toBe("visitor-1");
    expect(second?.headers["x-session-id"]).toBe(first?.headers["x-session-id"]);
    expect(second?.headers["x-request-id"]).not.toBe(first?.headers["x-request-id"]);
  });
});
