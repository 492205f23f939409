import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { describe, expect, test, vi } from "vitest";
import { createClient, FeedbackControls, sendUnsent } from "../src/lib";
import { json, withServer } from "./server";

const FEEDBACK = "POST /v1/feedback";
const UNDO = "DELETE /v1/feedback";
const ANSWER = { traceId: "tr-1", clientRequestId: "request-1", feedbackToken: "token-1" };
const server = withServer();

interface Sent {
  feedback_id?: string;
  assessments: { name: string; value: unknown; rationale?: string }[];
  metadata?: unknown;
}

function accept(): void {
  server.on(FEEDBACK, (_asked, response) => json(response, 202, { status: "accepted", feedback: [] }));
  server.on(UNDO, (_asked, response) => json(response, 202, { status: "accepted", feedback: [] }));
}

function refuse(status: number, detail: string): void {
  server.on(FEEDBACK, (_asked, response) => json(response, status, { detail }));
}

function sent(): Sent[] {
  return server.to(FEEDBACK).map(({ body }) => body as unknown as Sent);
}

/** A new client is what a reload makes. */
function show(options: { userId?: string } = {}) {
  const client = createClient({ baseUrl: server.url, ...options });
  const view = render(<FeedbackControls client={client} answer={ANSWER} />);
  return { client, ...view };
}

const good = () => screen.getByRole("button", { name: "Good answer" });
const bad = () => screen.getByRole("button", { name: "Bad answer" });
const isPressed = (button: HTMLElement) => button.getAttribute("aria-pressed") === "true";
const thanks = () => screen.findByText("Thank you for your feedback.");

async function showAFailedThumb() {
  refuse(503, "Kafka is away.");
  const view = show();
  await userEvent.click(bad());
  await screen.findByText("Kafka is away.");
  return view;
}

function expectTheSameTwice(): void {
  const [first, second] = server.to(FEEDBACK);
  expect(second?.body).toEqual(first?.body);
  expect(second?.headers["idempotency-key"]).toBe(first?.headers["idempotency-key"]);
}

describe("FeedbackControls", () => {
  test.each([
    ["while the answer is streaming", { answer: ANSWER, isStreaming: true }],
    ["without an answer", { answer: null }],
    ["without a trace id", { answer: { ...ANSWER, traceId: null } }],
  ])("is not there %s", (_when, props) => {
    render(<FeedbackControls client={createClient()} {...props} />);
    expect(screen.queryByRole("button")).toBeNull();
  });

  test("sends a thumb with the answer's ids and token, and says thank you", async () => {
    accept();
    show();
    expect(screen.queryByRole("button", { name: "Undo" })).toBeNull();
    await userEvent.click(good());
    expect(isPressed(good())).toBe(true);
    await thanks();
    expect(sent()).toEqual([
      {
        client_request_id: "request-1",
        trace_id: "tr-1",
        feedback_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        assessments: [{ name: "user_feedback", value: true }],
      },
    ]);
    expect(server.asked[0]?.headers).toMatchObject({
      "x-feedback-token": "token-1",
      "idempotency-key": expect.stringMatching(/^[0-9a-f-]{36}-thumbs$/),
    });
  });

  test("sends two clicks on one thumb once", async () => {
    accept();
    show();
    await userEvent.dblClick(good());
    await thanks();
    expect(sent()).toHaveLength(1);
  });

  test("takes a second thought for an edit of the same feedback, and the last click for what counts", async () => {
    accept();
    show();
    await userEvent.click(good());
    await userEvent.click(bad());
    await waitFor(() => expect(sent().at(-1)?.assessments[0]?.value).toBe(false));
    await thanks();
    expect(new Set(sent().map(({ feedback_id }) => feedback_id)).size).toBe(1);
    expect(isPressed(good())).toBe(false);
    expect(isPressed(bad())).toBe(true);
  });

  test("never has two requests under way for one answer", async () => {
    let answer = () => {};
    server.on(FEEDBACK, (_asked, response) => {
      answer = () => json(response, 202, {});
    });
    show();
    await userEvent.click(good());
    await waitFor(() => expect(sent()).toHaveLength(1));
    await userEvent.click(bad());
    await userEvent.click(good());
    await userEvent.click(bad());
    expect(sent()).toHaveLength(1);
    answer();
    await waitFor(() => expect(sent()).toHaveLength(2));
    answer();
    await thanks();
    expect(sent().map(({ assessments }) => assessments[0]?.value)).toEqual([true, false]);
  });

  test("sends no feedback id where the service is told who is signed in", async () => {
    accept();
    const client = createClient({ baseUrl: server.url, userId: "alice" });
    render(<FeedbackControls client={client} answer={{ ...ANSWER, feedbackToken: null }} />);
    await userEvent.click(good());
    await thanks();
    expect(sent()[0]).not.toHaveProperty("feedback_id");
    expect(server.asked[0]?.headers["x-user-id"]).toBe("alice");
  });

  test("sends what somebody said before they signed in, as the answer's token names nobody", async () => {
    refuse(503, "Kafka is away.");
    const { unmount } = show();
    await userEvent.click(good());
    await screen.findByText("Kafka is away.");
    unmount();
    accept();
    show({ userId: "alice" });
    await thanks();
    const [first, second] = sent();
    expect(second).toEqual(first);
    expect(second).toHaveProperty("feedback_id");
  });

  test("uses the answer's newest token", async () => {
    refuse(401, "The token has expired.");
    const { client, rerender } = show();
    await userEvent.click(good());
    await screen.findByText("The token has expired.");
    accept();
    rerender(<FeedbackControls client={client} answer={{ ...ANSWER, feedbackToken: "token-2" }} />);
    await userEvent.click(good());
    await thanks();
    expect(server.asked.at(-1)?.headers["x-feedback-token"]).toBe("token-2");
  });

  test("adds a comment to the thumb, which the other thumb leaves behind", async () => {
    accept();
    show();
    await userEvent.click(bad());
    await userEvent.type(screen.getByLabelText("What was wrong with it?"), "  The date is wrong. ");
    await userEvent.click(screen.getByRole("button", { name: "Save comment" }));
    await waitFor(() => expect(sent()).toHaveLength(2));
    expect(sent()[1]?.assessments).toEqual([
      { name: "user_feedback", value: false, rationale: "The date is wrong." },
    ]);
    expect(screen.getByText("The date is wrong.").tagName).toBe("BLOCKQUOTE");
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Edit comment" }));
    await userEvent.click(bad());
    expect(screen.getByText("The date is wrong.")).toBeTruthy();
    expect(sent()).toHaveLength(2);
    await userEvent.click(good());
    await waitFor(() => expect(sent()).toHaveLength(3));
    expect(sent()[2]?.assessments).toEqual([{ name: "user_feedback", value: true }]);
    expect(screen.queryByText("The date is wrong.")).toBeNull();
    await thanks();
  });

  test.each([
    ["by its button", () => userEvent.click(screen.getByRole("button", { name: "Cancel" }))],
    ["by Escape", () => userEvent.keyboard("{Escape}")],
  ])("leaves a comment as it was when its edit is cancelled %s", async (_how, cancel) => {
    accept();
    const onKeyDown = vi.fn();
    const client = createClient({ baseUrl: server.url });
    render(
      // biome-ignore lint/a11y/noStaticElementInteractions: a dialog of somebody else
      <div onKeyDown={({ key }) => onKeyDown(key)}>
        <FeedbackControls client={client} answer={ANSWER} />
      </div>,
    );
    await userEvent.click(bad());
    const field = () => screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?");
    expect(screen.queryByRole("button", { name: "Cancel" })).toBeNull();
    await userEvent.type(field(), "Too long.{Control>}{Enter}");
    await thanks();
    const edit = () => screen.getByRole("button", { name: "Edit comment" });
    await userEvent.click(edit());
    await userEvent.type(field(), " Or not?");
    await cancel();
    expect(document.activeElement).toBe(edit());
    expect(screen.getByText("Too long.").tagName).toBe("BLOCKQUOTE");
    await userEvent.click(edit());
    expect(field().value).toBe("Too long.");
    expect(sent()).toHaveLength(2);
    // An Escape that was of use here does not close what is around it.
    expect(onKeyDown).not.toHaveBeenCalledWith("Escape");
  });

  test("leaves Escape to the page where there is nothing to go back to", async () => {
    accept();
    show();
    await userEvent.click(bad());
    const field = screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?");
    await userEvent.type(field, "Too long.");
    expect(fireEvent.keyDown(field, { key: "Escape" })).toBe(true);
    expect(field.value).toBe("Too long.");
    await thanks();
  });

  test("leaves Escape to a word that is being composed", async () => {
    accept();
    show();
    await userEvent.click(bad());
    const field = () => screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?");
    await userEvent.type(field(), "Too long.{Control>}{Enter}");
    await thanks();
    await userEvent.click(screen.getByRole("button", { name: "Edit comment" }));
    fireEvent.keyDown(field(), { key: "Escape", isComposing: true });
    expect(field()).toBeTruthy();
  });

  test("sends ratings from one to five as a fifth to one", async () => {
    accept();
    show();
    await userEvent.click(screen.getByRole("button", { name: "Rate in detail" }));
    const accuracy = screen.getByRole("group", { name: "accuracy" });
    await userEvent.click(accuracy.querySelector("input[value='4']") as HTMLElement);
    await thanks();
    expect(sent()[0]).toMatchObject({
      assessments: [{ name: "user_accuracy", value: 0.8 }],
      metadata: { scale: "1-5" },
    });
    const relevance = screen.getByRole("group", { name: "relevance" });
    await userEvent.click(relevance.querySelector("input[value='1']") as HTMLElement);
    await waitFor(() => expect(sent()).toHaveLength(2));
    expect(sent()[1]?.assessments).toEqual([{ name: "user_relevance", value: 0.2 }]);
    await thanks();
  });

  test("takes back all that was said", async () => {
    accept();
    show();
    await userEvent.click(good());
    await userEvent.click(screen.getByRole("button", { name: "Rate in detail" }));
    const accuracy = screen.getByRole("group", { name: "accuracy" });
    await userEvent.click(accuracy.querySelector("input[value='5']") as HTMLElement);
    await waitFor(() => expect(sent()).toHaveLength(2));
    await userEvent.click(screen.getByRole("button", { name: "Undo" }));
    await screen.findByText("Your feedback was taken back.");
    expect(server.to(UNDO).map(({ body }) => body)).toEqual([
      {
        client_request_id: "request-1",
        trace_id: "tr-1",
        feedback_id: sent()[0]?.feedback_id,
        names: ["user_feedback", "user_accuracy"],
      },
    ]);
    expect(isPressed(good())).toBe(false);
    expect(screen.queryByRole("button", { name: "Undo" })).toBeNull();
    expect(document.activeElement).toBe(good());
  });

  test("rolls back what was not taken, and sends the same again on demand", async () => {
    refuse(503, "Kafka is away.");
    show();
    await userEvent.click(good());
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("Kafka is away."));
    expect(isPressed(good())).toBe(false);
    accept();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(isPressed(good())).toBe(true);
    await thanks();
    expectTheSameTwice();
    expect(screen.getByRole("alert").textContent).toBe("");
  });

  test("rolls back to what was said before, not to nothing", async () => {
    accept();
    show();
    await userEvent.click(good());
    await thanks();
    refuse(503, "Kafka is away.");
    await userEvent.click(bad());
    await screen.findByText("Kafka is away.");
    expect(isPressed(good())).toBe(true);
    expect(isPressed(bad())).toBe(false);
  });

  test("keeps the text of a comment that was not taken", async () => {
    accept();
    show();
    await userEvent.click(bad());
    await thanks();
    refuse(503, "Kafka is away.");
    await userEvent.type(screen.getByLabelText("What was wrong with it?"), "Too long.");
    await userEvent.click(screen.getByRole("button", { name: "Save comment" }));
    await screen.findByText("Kafka is away.");
    expect(screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?").value).toBe("Too long.");
  });

  test("offers no second try for what is refused for good, also after a reload", async () => {
    refuse(403, "The token is of another user.");
    const { unmount } = show();
    await userEvent.click(good());
    await screen.findByText("The token is of another user.");
    expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
    unmount();
    show();
    expect(isPressed(good())).toBe(false);
    expect(sent()).toHaveLength(1);
  });

  test("sends after a reload what it could not send before, as the same feedback", async () => {
    const { unmount } = await showAFailedThumb();
    unmount();
    accept();
    show();
    await thanks();
    expect(isPressed(bad())).toBe(true);
    expectTheSameTwice();
  });

  test("sends after a reload also for answers that are no longer shown, once", async () => {
    const { unmount } = await showAFailedThumb();
    unmount();
    accept();
    const client = createClient({ baseUrl: server.url });
    sendUnsent(client);
    await waitFor(() => expect(sent()).toHaveLength(2));
    await waitFor(() => expect(localStorage.getItem("feedback.answer.request-1")).toContain('"wanted":null'));
    sendUnsent(createClient({ baseUrl: server.url }));
    expect(sent()).toHaveLength(2);
  });

  test("shows after a reload what was said, and edits the same feedback", async () => {
    accept();
    const { unmount } = show();
    await userEvent.click(good());
    await thanks();
    unmount();
    show();
    expect(isPressed(good())).toBe(true);
    await userEvent.click(bad());
    await thanks();
    expect(sent()).toHaveLength(2);
    expect(sent()[1]?.feedback_id).toBe(sent()[0]?.feedback_id);
  });

  test("takes back what the server may have, though its answer was lost", async () => {
    server.on(FEEDBACK, (_asked, response) => response.destroy());
    show();
    await userEvent.click(good());
    await screen.findByText(/server cannot be reached/);
    accept();
    await userEvent.click(bad());
    await thanks();
    await userEvent.click(screen.getByRole("button", { name: "Undo" }));
    await screen.findByText("Your feedback was taken back.");
    expect(server.to(UNDO)[0]?.body["names"]).toEqual(["user_feedback"]);
  });

  test("tries again by itself when the network is back", async () => {
    server.on(FEEDBACK, (_asked, response) => response.destroy());
    show();
    await userEvent.click(good());
    await screen.findByText(/server cannot be reached/);
    accept();
    act(() => void window.dispatchEvent(new Event("online")));
    await thanks();
    expect(isPressed(good())).toBe(true);
  });

  test("shows what another tab has said", async () => {
    accept();
    show();
    await userEvent.click(good());
    await thanks();
    const key = "feedback.answer.request-1";
    const saved = JSON.parse(localStorage.getItem(key) ?? "") as { confirmed: object };
    localStorage.setItem(
      key,
      JSON.stringify({ ...saved, confirmed: { ...saved.confirmed, thumbs: false, comment: "From there" } }),
    );
    act(() => void window.dispatchEvent(new StorageEvent("storage", { key })));
    expect(isPressed(bad())).toBe(true);
    expect(screen.getByText("From there")).toBeTruthy();
    expect(sent()).toHaveLength(1);
  });

  test("says again what it wants where the server may have taken something else", async () => {
    accept();
    show();
    await userEvent.click(good());
    await thanks();
    let lose = () => {};
    server.on(FEEDBACK, (_asked, response) => {
      lose = () => response.destroy();
    });
    await userEvent.click(bad());
    await waitFor(() => expect(sent()).toHaveLength(2));
    await userEvent.click(good());
    lose();
    await screen.findByText(/server cannot be reached/);
    accept();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await thanks();
    expect(sent().map(({ assessments }) => assessments[0]?.value)).toEqual([true, false, true]);
  });

  test("takes a click on what is shown for the newest wish, in place of the one that failed", async () => {
    accept();
    const { unmount } = show();
    await userEvent.click(good());
    await thanks();
    refuse(503, "Kafka is away.");
    await userEvent.click(bad());
    await screen.findByText("Kafka is away.");
    accept();
    await userEvent.click(good());
    await thanks();
    expect(screen.getByRole("alert").textContent).toBe("");
    unmount();
    show();
    expect(isPressed(good())).toBe(true);
    expect(sent().at(-1)?.assessments[0]?.value).toBe(true);
  });

  test("sends the newer wish where the one under way is refused for good", async () => {
    let refuseFirst = () => {};
    server.on(FEEDBACK, (_asked, response) => {
      refuseFirst = () => json(response, 422, { detail: "That thumb cannot be taken." });
    });
    const { unmount } = show();
    await userEvent.click(good());
    await waitFor(() => expect(sent()).toHaveLength(1));
    await userEvent.click(bad());
    accept();
    refuseFirst();
    await thanks();
    expect(isPressed(bad())).toBe(true);
    expect(screen.getByRole("alert").textContent).toBe("");
    expect(sent().map(({ assessments }) => assessments[0]?.value)).toEqual([true, false]);
    unmount();
    show();
    expect(isPressed(bad())).toBe(true);
  });

  test("sends a thumb that failed along with the rating that follows it", async () => {
    await showAFailedThumb();
    accept();
    await userEvent.click(screen.getByRole("button", { name: "Rate in detail" }));
    const accuracy = screen.getByRole("group", { name: "accuracy" });
    await userEvent.click(accuracy.querySelector("input[value='4']") as HTMLElement);
    await thanks();
    expect(isPressed(bad())).toBe(true);
    expect(sent().map(({ assessments }) => assessments)).toEqual([
      [{ name: "user_feedback", value: false }],
      [{ name: "user_feedback", value: false }],
      [{ name: "user_accuracy", value: 0.8 }],
    ]);
  });

  test("takes a second click on what failed for another try of the same", async () => {
    await showAFailedThumb();
    accept();
    await userEvent.click(bad());
    await thanks();
    expect(isPressed(bad())).toBe(true);
    expectTheSameTwice();
  });

  test("takes a comment for one on the thumb that is shown, also after another thumb has failed", async () => {
    accept();
    show();
    await userEvent.click(bad());
    await thanks();
    refuse(503, "Kafka is away.");
    await userEvent.click(good());
    await screen.findByText("Kafka is away.");
    accept();
    await userEvent.type(screen.getByLabelText("What was wrong with it?"), "Too long.");
    await userEvent.click(screen.getByRole("button", { name: "Save comment" }));
    await thanks();
    expect(sent().at(-1)?.assessments).toEqual([
      { name: "user_feedback", value: false, rationale: "Too long." },
    ]);
  });

  test("does not show what another tab has not sent yet", async () => {
    accept();
    show();
    await userEvent.click(good());
    await thanks();
    const key = "feedback.answer.request-1";
    const saved = JSON.parse(localStorage.getItem(key) ?? "") as { confirmed: object };
    localStorage.setItem(key, JSON.stringify({ ...saved, wanted: { ...saved.confirmed, thumbs: false } }));
    act(() => void window.dispatchEvent(new StorageEvent("storage", { key })));
    expect(isPressed(good())).toBe(true);
    expect(isPressed(bad())).toBe(false);
  });

  test.each([
    ["was not shown", true],
    ["was told nothing", false],
  ])("speaks of the same feedback as another tab, also when it %s meanwhile", async (_when, isHidden) => {
    accept();
    const here = show();
    if (isHidden) here.unmount();
    const there = show();
    await userEvent.click(within(there.container).getByRole("button", { name: "Good answer" }));
    await within(there.container).findByText("Thank you for your feedback.");
    there.unmount();
    if (isHidden) render(<FeedbackControls client={here.client} answer={ANSWER} />);
    if (isHidden) expect(isPressed(good())).toBe(true);
    await userEvent.click(bad());
    await thanks();
    expect(sent()).toHaveLength(2);
    expect(sent()[1]?.feedback_id).toBe(sent()[0]?.feedback_id);
  });

  test("keeps a comment that is being written while its thumb is not taken", async () => {
    let answer = () => {};
    server.on(FEEDBACK, (_asked, response) => {
      answer = () => json(response, 503, { detail: "Kafka is away." });
    });
    show();
    await userEvent.click(bad());
    await userEvent.type(screen.getByLabelText("What was wrong with it?"), "Too long.");
    answer();
    await screen.findByText("Kafka is away.");
    accept();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await thanks();
    expect(screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?").value).toBe("Too long.");
    await userEvent.click(screen.getByRole("button", { name: "Undo" }));
    await userEvent.click(bad());
    expect(screen.getByLabelText<HTMLTextAreaElement>("What was wrong with it?").value).toBe("");
    // What is still under way would be kept for the next test.
    await thanks();
  });

  test("keeps the focus at hand when the button that had it goes away", async () => {
    refuse(503, "Kafka is away.");
    show();
    await userEvent.click(bad());
    await userEvent.click(await screen.findByRole("button", { name: "Try again" }));
    expect(document.activeElement).toBe(good());
    const again = await screen.findByRole("button", { name: "Try again" });
    accept();
    await userEvent.click(again);
    await thanks();
    await userEvent.type(screen.getByLabelText("What was wrong with it?"), "Too long.{Control>}{Enter}");
    await thanks();
    await userEvent.click(screen.getByRole("button", { name: "Edit comment" }));
    expect(document.activeElement).toBe(screen.getByLabelText("What was wrong with it?"));
  });

  test("is found by axe to be sound, also with several answers on a page", async () => {
    const client = createClient({ baseUrl: server.url });
    const { container } = render(
      <main>
        <FeedbackControls client={client} answer={ANSWER} />
        <FeedbackControls client={client} answer={{ ...ANSWER, clientRequestId: "request-2" }} />
      </main>,
    );
    const { violations } = await axe.run(container, { rules: { region: { enabled: false } } });
    expect(violations.map(({ id }) => id)).toEqual([]);
  });

  test("gives up a request that hangs, and can try again", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new DOMException("late", "TimeoutError")), 20);
      return controller.signal;
    });
    try {
      server.on(FEEDBACK, () => {});
      show();
      await userEvent.click(good());
      await screen.findByText(/did not answer in time/);
    } finally {
      timeout.mockRestore();
    }
    accept();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await thanks();
  });
});
