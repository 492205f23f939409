import { act, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { StrictMode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { App } from "../src/app/App";
import { createClient } from "../src/lib";
import { fetchFrom, withServer } from "./server";

const server = withServer();

/** Of Insights only the way there is of interest here. */
class Source extends EventTarget {
  static readonly CLOSED = 2;
  readonly readyState = 0;
  close(): void {}
}

describe("App", () => {
  beforeEach(() => {
    vi.stubGlobal("EventSource", Source);
    fetchFrom(server);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    history.replaceState(null, "", "/");
  });

  function show(path = "/") {
    history.replaceState(null, "", path);
    return render(
      <StrictMode>
        <App client={createClient()} />
      </StrictMode>,
    );
  }

  const title = () => screen.getByRole("heading", { level: 1 }).textContent;

  test("moves the focus to what a link or the browser's own way back brings, and only then", async () => {
    show();
    expect(document.activeElement).toBe(document.body);
    await userEvent.click(screen.getByRole("link", { name: "Insights" }));
    expect(title()).toBe("Insights");
    expect(document.title).toMatch(/^Insights/);
    expect(document.activeElement).toBe(screen.getByRole("main"));
    act(() => screen.getByRole("link", { name: "Chat" }).focus());
    history.back();
    await waitFor(() => expect(title()).toBe("Chat"));
    expect(document.activeElement).toBe(screen.getByRole("main"));
  });

  test.each([
    ["/insights", "Insights"],
    ["/insightsfoo", "Chat"],
    ["/", "Chat"],
  ])("shows at %s the page %s", (path, name) => {
    show(path);
    expect(title()).toBe(name);
    expect(screen.getByRole("link", { current: "page" }).textContent).toBe(name);
  });
});
