import type { ServerResponse } from "node:http";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { StrictMode } from "react";
import { describe, expect, test, vi } from "vitest";
import { ChatWithFeedback, createClient, ProblemError, StreamingChatWithFeedback } from "../src/lib";
import { done, event, json, openStream, token, withServer } from "./server";

const server = withServer();
const field = () => screen.getByLabelText<HTMLTextAreaElement>("Message");
const button = () => screen.getByRole<HTMLButtonElement>("button", { name: "Send" });
const thumb = () => screen.queryByRole("button", { name: "Good answer" });

describe("StreamingChatWithFeedback", () => {
  const STREAM = "POST /chat/stream";

  function show() {
    return render(<StreamingChatWithFeedback client={createClient({ baseUrl: server.url })} />);
  }

  /** Holds streams open until the test ends them. */
  function hold(): ServerResponse[] {
    const open: ServerResponse[] = [];
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "So far"));
      open.push(response);
    });
    return open;
  }

  test("sends by Enter, breaks lines by Shift and Enter", async () => {
    hold();
    show();
    await userEvent.type(field(), "one{Shift>}{Enter}{/Shift}two{Enter}");
    await screen.findByText("So far");
    expect(server.to(STREAM)[0]?.body).toEqual({ message: "one\ntwo" });
    expect(field().value).toBe("");
  });

  test.each([
    ["says so", { isComposing: true }],
    ["says so by its old key code only, as Safari", { keyCode: 229 }],
  ])("sends nothing by an Enter that ends a composed word, where the browser %s", async (_how, init) => {
    hold();
    show();
    await userEvent.type(field(), "日本");
    fireEvent.keyDown(field(), { key: "Enter", ...init });
    expect(field().value).toBe("日本");
    fireEvent.keyDown(field(), { key: "Enter", keyCode: 13 });
    await screen.findByText("So far");
    expect(server.to(STREAM).map(({ body }) => body)).toEqual([{ message: "日本" }]);
  });

  test("has its button off as long as there is nothing to send", async () => {
    show();
    expect(button().disabled).toBe(true);
    await userEvent.type(field(), "  {Enter}");
    expect(button().disabled).toBe(true);
    await userEvent.type(field(), "x");
    expect(button().disabled).toBe(false);
    expect(server.asked).toHaveLength(0);
  });

  test("sends nothing while an answer is streaming, and offers feedback once it is complete", async () => {
    const open = hold();
    show();
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("So far");
    await userEvent.type(field(), "next{Enter}");
    expect(button().disabled).toBe(true);
    expect(server.to(STREAM)).toHaveLength(1);
    expect(thumb()).toBeNull();
    act(() => void open[0]?.end(token(2, " and on") + done(3)));
    await waitFor(() => expect(thumb()).not.toBeNull());
    expect(screen.getByText("So far and on")).toBeTruthy();
    expect(button().disabled).toBe(false);
    expect(screen.getByText("Answer: So far and on").getAttribute("role")).toBe("status");
  });

  test("shows an error and asks the same again on demand", async () => {
    server.on(STREAM, (_asked, response) => {
      openStream(response, token(1, "Half"), event(2, { type: "error", error: "The model failed." }));
      response.end();
    });
    show();
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("The model failed.");
    expect(thumb()).toBeNull();
    server.on(STREAM, (_asked, response) => openStream(response, token(1, "Whole"), done(2)));
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(thumb()).not.toBeNull());
    expect(screen.queryByText("Half")).toBeNull();
    expect(server.to(STREAM).map(({ body }) => body)).toEqual([{ message: "hi" }, { message: "hi" }]);
  });

  test("can be stopped", async () => {
    hold();
    show();
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("So far");
    await userEvent.click(screen.getByRole("button", { name: "Stop" }));
    await screen.findByText("You stopped this answer.");
    expect(document.activeElement).toBe(field());
    expect(screen.getByText("So far")).toBeTruthy();
    expect(thumb()).toBeNull();
  });

  test("draws an answer anew only when its text has changed", async () => {
    const open = hold();
    const renderAnswer = vi.fn((text: string) => <p>{text}</p>);
    render(
      <StreamingChatWithFeedback
        client={createClient({ baseUrl: server.url })}
        renderAnswer={renderAnswer}
      />,
    );
    await userEvent.type(field(), "first{Enter}");
    await screen.findByText("So far");
    act(() => void open[0]?.end(token(2, ", first") + done(3)));
    await waitFor(() => expect(thumb()).not.toBeNull());
    renderAnswer.mockClear();
    await userEvent.type(field(), "second{Enter}");
    await screen.findByText("So far");
    expect(renderAnswer.mock.calls).toEqual([["So far"]]);
  });

  test("shows nobody what somebody else asked before them in this tab", async () => {
    const open = hold();
    const client = createClient({ baseUrl: server.url, userId: "alice" });
    const { unmount } = render(<StreamingChatWithFeedback client={client} />);
    await userEvent.type(field(), "first{Enter}");
    await screen.findByText("So far");
    act(() => void open[0]?.end(done(2)));
    await waitFor(() => expect(thumb()).not.toBeNull());
    unmount();
    const bob = render(
      <StreamingChatWithFeedback client={createClient({ baseUrl: server.url, userId: "bob" })} />,
    );
    expect(screen.queryByText("first")).toBeNull();
    bob.unmount();
    render(<StreamingChatWithFeedback client={client} />);
    expect(screen.getByText("first")).toBeTruthy();
  });

  test("keeps the conversation over a reload, and says which answer was cut off", async () => {
    const open = hold();
    const { unmount } = show();
    await userEvent.type(field(), "first{Enter}");
    await screen.findByText("So far");
    act(() => void open[0]?.end(done(2)));
    await waitFor(() => expect(thumb()).not.toBeNull());
    await userEvent.type(field(), "second{Enter}");
    await waitFor(() => expect(server.to(STREAM)).toHaveLength(2));
    unmount();
    show();
    expect(screen.getByText("first")).toBeTruthy();
    expect(screen.getByText("So far")).toBeTruthy();
    expect(thumb()).not.toBeNull();
    expect(screen.getByText(/page was left/)).toBeTruthy();
  });
});

describe("ChatWithFeedback", () => {
  const CHAT = "POST /chat";

  function show() {
    return render(<ChatWithFeedback client={createClient({ baseUrl: server.url, userId: "alice" })} />);
  }

  test("shows the answer and offers feedback on it", async () => {
    server.on(CHAT, ({ headers }, response) =>
      json(response, 200, {
        response: "Hello",
        trace_id: "tr-1",
        client_request_id: headers["x-request-id"],
        feedback_token: "token-1",
        session_id: "s",
        user_id: "alice",
      }),
    );
    show();
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("Hello");
    expect(thumb()).not.toBeNull();
    expect(server.to(CHAT)[0]?.headers["x-user-id"]).toBe("alice");
    await userEvent.click(screen.getByRole("button", { name: "New conversation" }));
    expect(screen.queryByText("Hello")).toBeNull();
  });

  test("keeps its conversation apart from that of a streaming chat on the same page", async () => {
    server.on(CHAT, (_asked, response) =>
      json(response, 200, {
        response: "Whole",
        trace_id: "tr-1",
        client_request_id: "r",
        feedback_token: null,
      }),
    );
    const client = createClient({ baseUrl: server.url });
    const both = (
      <>
        <ChatWithFeedback client={client} />
        <StreamingChatWithFeedback client={client} />
      </>
    );
    const { unmount } = render(both);
    await userEvent.type(screen.getAllByLabelText("Message")[0] as HTMLElement, "hi{Enter}");
    await screen.findByText("Whole");
    unmount();
    render(both);
    expect(screen.getAllByText("hi")).toHaveLength(1);
  });

  test.each([
    ["no JSON", "<html>Sign in, please.</html>"],
    ["JSON of something else", '{"status": "ok"}'],
    ["nothing that has fields", "null"],
  ])("has words for an answer that is %s", async (_what, body) => {
    server.on(CHAT, (_asked, response) => response.writeHead(200).end(body));
    const asked = createClient({ baseUrl: server.url }).chat("hi", "request-1");
    await expect(asked).rejects.toThrow(ProblemError);
    await expect(asked).rejects.toThrow("The server's answer cannot be understood.");
  });

  test("shows what went wrong", async () => {
    server.on(CHAT, (_asked, response) => response.writeHead(502).end("<html>"));
    show();
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("The server cannot be reached right now.");
    expect(thumb()).toBeNull();
    expect(screen.getByRole("button", { name: "Try again" })).toBeTruthy();
  });

  test("leaves its request when it goes away", async () => {
    let isLeft = false;
    server.on(CHAT, (_asked, response) =>
      response.on("close", () => {
        isLeft = true;
      }),
    );
    const { unmount } = show();
    await userEvent.type(field(), "hi{Enter}");
    await waitFor(() => expect(server.to(CHAT)).toHaveLength(1));
    unmount();
    await waitFor(() => expect(isLeft).toBe(true));
  });

  test("works in StrictMode, whose effects run twice", async () => {
    server.on(CHAT, ({ headers }, response) =>
      json(response, 200, {
        response: "Hello",
        trace_id: "tr-1",
        client_request_id: headers["x-request-id"],
        feedback_token: "token-1",
      }),
    );
    render(
      <StrictMode>
        <ChatWithFeedback client={createClient({ baseUrl: server.url })} />
      </StrictMode>,
    );
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("Hello");
    expect(server.to(CHAT)).toHaveLength(1);
  });
});

test.each([
  ["ChatWithFeedback", ChatWithFeedback],
  ["StreamingChatWithFeedback", StreamingChatWithFeedback],
])("a new conversation of %s is a session of its own, also after a reload", async (_name, Chat) => {
  const refuse = (_asked: unknown, response: ServerResponse) => json(response, 403, { detail: "No." });
  server.on("POST /chat", refuse);
  server.on("POST /chat/stream", refuse);
  async function askTwice(): Promise<void> {
    const { unmount } = render(<Chat client={createClient({ baseUrl: server.url })} storageKey={null} />);
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("No.");
    await userEvent.click(screen.getByRole("button", { name: "New conversation" }));
    await userEvent.type(field(), "hi{Enter}");
    await screen.findByText("No.");
    unmount();
  }
  await askTwice();
  await askTwice();
  const [first, second, third, fourth] = server.asked.map(({ headers }) => headers["x-session-id"]);
  expect(second).toMatch(/^[0-9a-f-]{36}$/);
  expect(second).not.toBe(first);
  expect(third).toBe(second);
  expect(fourth).not.toBe(third);
});
