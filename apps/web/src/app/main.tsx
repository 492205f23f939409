import "@fontsource-variable/inter";
import "../lib/styles.css";
import "./app.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createClient, sendUnsent } from "../lib";
import { App } from "./App";
import { applyTheme, readTheme } from "./theme";

applyTheme(readTheme());

// `?user=alice` shows the page as somebody who is signed in; without it, the visitor is nobody in particular.
const userId = new URLSearchParams(location.search).get("user");
const client = createClient(userId ? { userId } : {});
sendUnsent(client);

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App client={client} />
  </StrictMode>,
);
