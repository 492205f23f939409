import { useState } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { type ChatClient, ChatWithFeedback, StreamingChatWithFeedback } from "../lib";

const QUESTIONS = [
  "How does each feedback become exactly one assessment?",
  "What happens while MLflow is away?",
  "How are comments redacted before they are stored?",
  "When is an event dead-lettered?",
];

/** What scrolls by itself must be reachable by keyboard. */
const COMPONENTS: Components = {
  // An answer's links to its own documents lead nowhere here, and its pictures would tell others of the reader.
  a: ({ href = "", children }) =>
    /^https?:\/\//i.test(href) ? (
      <a href={href} target="_blank" rel="noreferrer">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  img: ({ alt }) => <span>{alt}</span>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  table: ({ children }) => (
    <div className="table-scroller" tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
};

function renderMarkdown(text: string) {
  return (
    <Markdown remarkPlugins={[remarkGfm]} components={COMPONENTS}>
      {text}
    </Markdown>
  );
}

interface ChatPageProps {
  client: ChatClient;
  dimensions: readonly string[];
}

export function ChatPage({ client, dimensions }: ChatPageProps) {
  const [isStreamed, setIsStreamed] = useState(true);
  const Chat = isStreamed ? StreamingChatWithFeedback : ChatWithFeedback;
  return (
    <div className="chat-page">
      <h1 className="fb-sr-only">Chat</h1>
      <Chat
        key={String(isStreamed)}
        client={client}
        dimensions={dimensions}
        storageKey={isStreamed ? "feedback.chat.streamed" : "feedback.chat.whole"}
        placeholder="Ask a question"
        renderAnswer={renderMarkdown}
        renderEmpty={(ask) => <Welcome ask={ask} isStreamed={isStreamed} onStreamed={setIsStreamed} />}
      />
    </div>
  );
}

interface WelcomeProps {
  ask: (question: string) => void;
  isStreamed: boolean;
  onStreamed: (isStreamed: boolean) => void;
}

function Welcome({ ask, isStreamed, onStreamed }: WelcomeProps) {
  return (
    <div className="welcome">
      <h2>What would you like to know?</h2>
      <p>
        Answers come from this project's own documentation. Rate them: each rating travels through Kafka and
        becomes one assessment of the answer's trace in MLflow.
      </p>
      <ul aria-label="Suggested questions">
        {QUESTIONS.map((question) => (
          <li key={question}>
            <button type="button" onClick={() => ask(question)}>
              {question}
            </button>
          </li>
        ))}
      </ul>
      <label className="switch">
        <input type="checkbox" checked={isStreamed} onChange={(event) => onStreamed(event.target.checked)} />
        Show answers word by word
      </label>
    </div>
  );
}
