import { useEffect, useRef, useState } from "react";
import type { ChatClient } from "../lib";
import { ChatPage } from "./ChatPage";
import { InsightsPage } from "./InsightsPage";
import { ThemeToggle } from "./ThemeToggle";
import { useConfig } from "./useConfig";
import { useRoute } from "./useRoute";

export function App({ client }: { client: ChatClient }) {
  const [path, follow] = useRoute();
  const config = useConfig();
  const [isNoticeOpen, setIsNoticeOpen] = useState(true);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(path);
  const isInsights = path === "/insights";

  useEffect(() => {
    document.title = isInsights ? "Insights · Feedback Pipeline" : "Chat · Feedback Pipeline";
  }, [isInsights]);

  useEffect(() => {
    // A new page begins where it stands, and not at the link that led there.
    if (path !== shown.current) main.current?.focus();
    shown.current = path;
  }, [path]);

  const search = location.search;
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <a className="brand" href={`/${search}`} onClick={follow}>
          <img src="/icon.svg" alt="" width="28" height="28" />
          <span>Feedback Pipeline</span>
        </a>
        <nav aria-label="Pages">
          <a href={`/${search}`} onClick={follow} aria-current={isInsights ? undefined : "page"}>
            Chat
          </a>
          <a href={`/insights${search}`} onClick={follow} aria-current={isInsights ? "page" : undefined}>
            Insights
          </a>
        </nav>
        <ThemeToggle />
      </header>
      {config.notice && isNoticeOpen && (
        <aside className="notice" aria-label="Notice">
          <p>{config.notice}</p>
          <button type="button" className="fb-button fb-quiet" onClick={() => setIsNoticeOpen(false)}>
            Dismiss
          </button>
        </aside>
      )}
      <main ref={main} id="main" tabIndex={-1}>
        {isInsights ? (
          <InsightsPage mlflowUrl={config.mlflow_url} experimentId={config.experiment_id} />
        ) : (
          <ChatPage client={client} dimensions={config.dimensions} />
        )}
      </main>
    </>
  );
}
