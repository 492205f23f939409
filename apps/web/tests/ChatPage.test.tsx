import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { ChatPage } from "../src/app/ChatPage";
import { createClient } from "../src/lib";
import { done, openStream, token, withServer } from "./server";

const server = withServer();
const ANSWER = [
  "[outside](https://example.com/a) [beside](operations.md) [script](javascript:alert(1))",
  "<img src=x onerror=alert(1)> ![a picture](https://example.com/seen.png)",
].join(" ");

test("makes links of web addresses alone, and loads nothing that an answer names", async () => {
  server.on("POST /chat/stream", (_asked, response) => {
    openStream(response, token(1, ANSWER), done(2));
    response.end();
  });
  render(<ChatPage client={createClient({ baseUrl: server.url })} dimensions={[]} />);
  await userEvent.type(screen.getByLabelText("Message"), "hi{Enter}");
  const links = await screen.findAllByRole("link");
  expect(
    links.map((link) => [link.textContent, link.getAttribute("href"), link.getAttribute("rel")]),
  ).toEqual([["outside", "https://example.com/a", "noreferrer"]]);
  expect(screen.getByText("beside")).toBeTruthy();
  expect(document.querySelector("img")).toBeNull();
});
