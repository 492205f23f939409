import { act, screen, waitFor } from "@testing-library/react";
import type { ReactElement } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import { ChatWithFeedback, createClient, FeedbackControls, StreamingChatWithFeedback } from "../src/lib";
import { withServer } from "./server";

const server = withServer();
const ANSWER = { traceId: "tr-1", clientRequestId: "request-1", feedbackToken: "token-1" };

/** What an earlier visit has left in this tab. */
function keep(key: string): void {
  const turn = { id: "1", question: "Asked before", answer: "Told before", status: "done", error: null };
  sessionStorage.setItem(key, JSON.stringify([{ ...turn, feedback: ANSWER }]));
  localStorage.setItem(
    "feedback.answer.request-1",
    JSON.stringify({
      answer: ANSWER,
      feedbackId: "f-1",
      confirmed: { thumbs: false, comment: "Too long.", ratings: {} },
      wanted: null,
      sent: ["user_feedback"],
      unsure: [],
      key: "k",
      savedAt: Date.now(),
    }),
  );
}

async function hydrated(page: () => ReactElement, check: () => void, kept: string): Promise<void> {
  const box = document.body.appendChild(document.createElement("div"));
  box.innerHTML = renderToString(page());
  keep(kept);
  const onRecoverableError = vi.fn();
  const root = await act(() => hydrateRoot(box, page(), { onRecoverableError }));
  try {
    await waitFor(check);
    expect(onRecoverableError).not.toHaveBeenCalled();
  } finally {
    act(() => root.unmount());
    box.remove();
  }
}

test.each([
  ["feedback.chat", StreamingChatWithFeedback],
  ["feedback.chat.whole", ChatWithFeedback],
])("what a server has drawn is taken over, and then shows what the tab has kept: %s", async (key, Chat) => {
  const page = () => <Chat client={createClient({ baseUrl: server.url })} />;
  await hydrated(
    page,
    () => {
      expect(screen.getByText("Told before")).toBeTruthy();
      expect(screen.getByText("Too long.").tagName).toBe("BLOCKQUOTE");
    },
    key,
  );
  expect(sessionStorage.getItem(key)).toContain("Told before");
});

test("the controls of an answer that a server has drawn are taken over, and then show what was said", async () => {
  await hydrated(
    () => <FeedbackControls client={createClient({ baseUrl: server.url })} answer={ANSWER} />,
    () => expect(screen.getByText("Too long.").tagName).toBe("BLOCKQUOTE"),
    "nowhere",
  );
});

test("nothing that was kept is drawn by a server, as it is not known there", () => {
  keep("feedback.chat");
  const html = renderToString(<StreamingChatWithFeedback client={createClient()} />);
  expect(html).toContain("Message");
  expect(html).not.toContain("before");
  expect(html).not.toContain("Too long.");
});
