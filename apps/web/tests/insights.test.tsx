import { act, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InsightsPage } from "../src/app/InsightsPage";
import type { Insights } from "../src/app/insights";
import { ago, rateOf } from "../src/app/insights";
import { throttle } from "../src/app/throttle";
import { fetchFrom, json, withServer } from "./server";

const server = withServer();
const NOW = "2026-01-01T12:00:00Z";

/** jsdom has no EventSource; the browser's own is tried in tests/browser. */
class Source extends EventTarget {
  static readonly CLOSED = 2;
  static last: Source;
  readyState = 0;
  close = vi.fn();
  constructor(readonly url: string) {
    super();
    Source.last = this;
  }
}

function insights(change: Partial<Insights> = {}): Insights {
  return {
    now: NOW,
    minutes: 60,
    total: 12,
    newest_only: null,
    positive: 7,
    negative: 3,
    rate: 0.7,
    over_time: [
      { at: "2026-01-01T11:58:00Z", positive: 4, negative: 0 },
      { at: "2026-01-01T11:59:00Z", positive: 3, negative: 3 },
    ],
    by_version: [{ key: "1.2.0", positive: 7, negative: 3 }],
    by_region: [],
    comments: [
      {
        at: "2026-01-01T11:55:00Z",
        comment: "The date is wrong.",
        name: "user_feedback",
        value: false,
        trace_id: "tr-1",
        client_request_id: "request-1",
        app_version: "1.2.0",
        region: "eu",
        mlflow_url: "http://mlflow/trace/tr-1",
      },
    ],
    ...change,
  };
}

/** What the browser's own does where the answer is not a stream: it does not ask again. */
function refuseStream(): void {
  Source.last.readyState = Source.CLOSED;
  Source.last.dispatchEvent(new Event("error"));
}

function answer(change?: Partial<Insights>): void {
  server.on("GET /v1/insights", (_asked, response) => json(response, 200, insights(change)));
}

describe("InsightsPage", () => {
  beforeEach(() => {
    vi.stubGlobal("EventSource", Source);
    fetchFrom(server);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  const show = () => render(<InsightsPage mlflowUrl="http://mlflow/" experimentId="7" />);

  test("shows what came in", async () => {
    answer();
    show();
    expect(
      (await screen.findByText("Positive rate", { selector: "dt" })).nextElementSibling?.textContent,
    ).toBe("70%");
    expect(screen.getByRole("img", { name: /between 50% and 100%, most recently 50%/ })).toBeTruthy();
    expect(screen.getByText("The date is wrong.")).toBeTruthy();
    expect(screen.getByText("5 minutes ago")).toBeTruthy();
    expect(screen.getByRole("link", { name: /Trace in MLflow/ }).getAttribute("href")).toBe(
      "http://mlflow/trace/tr-1",
    );
    expect(screen.getByRole("link", { name: /All traces/ }).getAttribute("href")).toBe(
      "http://mlflow/#/experiments/7/traces",
    );
  });

  test("says that there was more than it sums up", async () => {
    answer({ newest_only: 100_000 });
    show();
    await screen.findByText(/these are the newest 100,000/);
    answer();
    act(() => void Source.last.dispatchEvent(new Event("receipt")));
    await waitFor(() => expect(screen.queryByText(/these are the newest/)).toBeNull(), { timeout: 3_000 });
  });

  test("looks again after a receipt", async () => {
    answer();
    show();
    await screen.findByText("70%", { selector: "dd" });
    answer({ rate: 0.75 });
    act(() => void Source.last.dispatchEvent(new Event("receipt")));
    await screen.findByText("75%", {}, { timeout: 3_000 });
  });

  test("looks once more after the last receipt, as the first look may have come too early", async () => {
    answer();
    show();
    await screen.findByText("70%", { selector: "dd" });
    await act(() => new Promise((resolve) => setTimeout(resolve, 1_100)));
    const before = server.asked.length;
    act(() => void Source.last.dispatchEvent(new Event("receipt")));
    await waitFor(() => expect(server.asked).toHaveLength(before + 2), { timeout: 3_000 });
  });

  test("shows something also where receipts come faster than the service sums up", async () => {
    server.on("GET /v1/insights", (_asked, response) => {
      setTimeout(() => json(response, 200, insights()), 1_500);
    });
    show();
    const timer = setInterval(() => act(() => void Source.last.dispatchEvent(new Event("receipt"))), 100);
    try {
      await screen.findByText("70%", { selector: "dd" }, { timeout: 4_000 });
    } finally {
      clearInterval(timer);
    }
    await waitFor(() => expect(server.asked.length).toBeGreaterThan(1), { timeout: 3_000 });
  });

  test("says whether it is live", async () => {
    answer();
    show();
    expect(screen.getByRole("status").textContent).toBe("Connecting…");
    act(() => void Source.last.dispatchEvent(new Event("open")));
    expect(screen.getByRole("status").textContent).toBe("Live from the receipts");
    act(() => void Source.last.dispatchEvent(new Event("error")));
    expect(screen.getByRole("status").textContent).toBe("Connecting…");
  });

  test("asks for the time that is chosen", async () => {
    answer();
    show();
    await screen.findByText("70%", { selector: "dd" });
    const before = Source.last;
    await userEvent.click(screen.getByRole("radio", { name: "24 hours" }));
    await waitFor(() => expect(server.asked.at(-1)?.url).toBe("/v1/insights?minutes=1440"));
    expect(before.close).toHaveBeenCalledOnce();
  });

  test("has words for a time without feedback", async () => {
    answer({ total: 0, positive: 0, negative: 0, rate: null, over_time: [], by_version: [], comments: [] });
    show();
    await screen.findByText(/No judgements in this time/);
    expect(screen.getByText("No negative comments in this time.")).toBeTruthy();
  });

  test.each([401, 403])(
    "says in the service's words who may read it, and that it is not live: %d",
    async (status) => {
      const detail = "Insights are for services: send the bearer key of one";
      server.on("GET /v1/insights", (_asked, response) => json(response, status, { detail }));
      show();
      act(refuseStream);
      expect((await screen.findByText("Insights could not be loaded.")).parentElement?.textContent).toContain(
        detail,
      );
      expect(screen.getByRole("status").textContent).toBe("Not live");
    },
  );

  test("is live again once the service answers again", async () => {
    server.on("GET /v1/insights", (_asked, response) => json(response, 503, { detail: "Postgres is away." }));
    show();
    act(refuseStream);
    await screen.findByText("Postgres is away.");
    const refused = Source.last;
    answer();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByText("70%", { selector: "dd" }, { timeout: 3_000 });
    await waitFor(() => expect(Source.last).not.toBe(refused));
    expect(screen.getByRole("status").textContent).toBe("Not live");
    act(() => void Source.last.dispatchEvent(new Event("open")));
    expect(screen.getByRole("status").textContent).toBe("Live from the receipts");
  });

  test("has words for an answer that is no JSON", async () => {
    server.on("GET /v1/insights", (_asked, response) => response.writeHead(200).end("<html>"));
    show();
    await screen.findByText("The server's answer cannot be understood.");
  });

  test("says that it could not be loaded, and tries again on demand", async () => {
    server.on("GET /v1/insights", (_asked, response) => json(response, 500, {}));
    show();
    await screen.findByText("Insights could not be loaded.");
    answer();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByText("70%", { selector: "dd" });
    expect(screen.queryByText("Insights could not be loaded.")).toBeNull();
  });
});

describe("throttle", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("runs at once, then at most once in each while, and never loses the last wish", () => {
    const run = vi.fn();
    const ask = throttle(run, 1_000);
    for (let number = 0; number < 50; number++) ask();
    expect(run).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1_000);
    expect(run).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(5_000);
    expect(run).toHaveBeenCalledTimes(2);
    ask();
    expect(run).toHaveBeenCalledTimes(3);
    ask();
    ask.cancel();
    vi.advanceTimersByTime(5_000);
    expect(run).toHaveBeenCalledTimes(3);
  });
});

test("a rate needs judgements", () => {
  expect(rateOf({ positive: 0, negative: 0 })).toBeNull();
  expect(rateOf({ positive: 1, negative: 3 })).toBe(0.25);
});

test("what is older is told in larger units", () => {
  expect(ago("2026-01-01T11:59:30Z", NOW)).toBe("just now");
  expect(ago("2026-01-01T11:00:00Z", NOW)).toBe("1 hour ago");
  expect(ago("2025-12-30T12:00:00Z", NOW)).toBe("2 days ago");
});
