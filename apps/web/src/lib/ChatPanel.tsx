import {
  type FormEvent,
  type KeyboardEvent,
  memo,
  type ReactNode,
  useEffect,
  useId,
  useRef,
  useState,
} from "react";
import type { ChatClient } from "./client.js";
import { isComposing } from "./composing.js";
import { FeedbackControls } from "./FeedbackControls.js";
import { Send, Stop, Warning } from "./icons.js";
import type { Turn } from "./useTranscript.js";

export interface ChatLook {
  /** Shown as long as nothing was asked; `ask` sends a question. */
  renderEmpty?: (ask: (question: string) => void) => ReactNode;
  /** How an answer's text is shown; as plain text by default. The same function each time saves work. */
  renderAnswer?: (text: string) => ReactNode;
  placeholder?: string;
  /** What is rated from 1 to 5; an empty list leaves ratings out. */
  dimensions?: readonly string[];
}

interface ChatPanelProps extends ChatLook {
  client: ChatClient;
  turns: readonly Turn[];
  isBusy: boolean;
  isReconnecting?: boolean;
  onAsk: (question: string) => void;
  onStop?: () => void;
  onRetry: (turn: Turn) => void;
  onClear: () => void;
}

/** A conversation with its composer; what both chats look like. */
export function ChatPanel(props: ChatPanelProps) {
  const { client, turns, isBusy, onAsk, onClear, onStop, renderEmpty } = props;
  const last = turns.at(-1);
  const end = useStickyEnd(last && `${turns.length} ${last.answer.length} ${last.status}`);

  function begin(): void {
    client.newSession();
    onClear();
  }

  return (
    <div className="fb-chat">
      <div className="fb-conversation">
        {turns.length === 0 && renderEmpty?.(onAsk)}
        {turns.length > 0 && (
          <>
            <button type="button" className="fb-button fb-quiet fb-new" disabled={isBusy} onClick={begin}>
              New conversation
            </button>
            <ol className="fb-turns" aria-label="Conversation">
              {turns.map((turn) => (
                <TurnView key={turn.id} {...props} turn={turn} isLast={turn === last} />
              ))}
            </ol>
          </>
        )}
        <div ref={end} className="fb-end" />
      </div>
      <p className="fb-sr-only" role="status">
        {announcement(last, isBusy)}
      </p>
      <div className="fb-dock">
        <Composer
          isBusy={isBusy}
          onAsk={onAsk}
          onStop={onStop}
          placeholder={props.placeholder ?? "Ask a question"}
        />
      </div>
    </div>
  );
}

/** Read out once when an answer is complete, not word by word. */
function announcement(last: Turn | undefined, isBusy: boolean): string {
  if (isBusy) return "Answering…";
  return last?.status === "done" ? `Answer: ${last.answer}` : "";
}

interface TurnViewProps extends ChatPanelProps {
  turn: Turn;
  isLast: boolean;
}

function TurnView({
  turn,
  isLast,
  client,
  isBusy,
  isReconnecting,
  onRetry,
  renderAnswer,
  dimensions,
}: TurnViewProps) {
  const isWaiting = turn.status === "waiting";
  return (
    <li className="fb-turn">
      <div className="fb-question">
        <span className="fb-sr-only">You asked: </span>
        {turn.question}
      </div>
      <div className="fb-answer" aria-busy={isWaiting}>
        {turn.answer !== "" && <AnswerText text={turn.answer} render={renderAnswer} />}
        {isWaiting && turn.answer === "" && !isReconnecting && <Dots />}
        {isWaiting && isReconnecting && (
          <p className="fb-note" role="status">
            Connection lost. Reconnecting…
          </p>
        )}
        {turn.status === "stopped" && <p className="fb-note">You stopped this answer.</p>}
        {turn.status === "failed" && (
          <div className="fb-failure" role="alert">
            <Warning />
            <span>{turn.error}</span>
            {isLast && (
              <button type="button" className="fb-button" disabled={isBusy} onClick={() => onRetry(turn)}>
                Try again
              </button>
            )}
          </div>
        )}
        <FeedbackControls
          client={client}
          answer={turn.feedback}
          isStreaming={isWaiting}
          {...(dimensions && { dimensions })}
        />
      </div>
    </li>
  );
}

interface AnswerTextProps {
  text: string;
  render: ChatLook["renderAnswer"];
}

/** Drawn anew only with another text: the answers before do not cost anything while one is streaming. */
const AnswerText = memo(function AnswerText({ text, render }: AnswerTextProps) {
  return <div className="fb-text">{render?.(text) ?? <p className="fb-plain">{text}</p>}</div>;
});

function Dots() {
  return (
    <span className="fb-dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}

interface ComposerProps {
  isBusy: boolean;
  onAsk: (question: string) => void;
  onStop: (() => void) | undefined;
  placeholder: string;
}

function Composer({ isBusy, onAsk, onStop, placeholder }: ComposerProps) {
  const [text, setText] = useState("");
  const id = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  const canSend = text.trim() !== "" && !isBusy;

  function send(event: FormEvent): void {
    event.preventDefault();
    if (!canSend) return;
    onAsk(text.trim());
    setText("");
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent): void {
    // Enter also ends a word that is being composed.
    if (event.key === "Enter" && !event.shiftKey && !isComposing(event)) send(event);
  }

  function stop(): void {
    onStop?.();
    // The button that was pressed goes away.
    field.current?.focus();
  }

  return (
    <form className="fb-composer" onSubmit={send}>
      <label className="fb-sr-only" htmlFor={id}>
        Message
      </label>
      <textarea
        ref={field}
        id={id}
        rows={1}
        maxLength={8_000}
        placeholder={placeholder}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isBusy && onStop && (
        <button type="button" className="fb-round fb-stop" aria-label="Stop" title="Stop" onClick={stop}>
          <Stop />
        </button>
      )}
      <button type="submit" className="fb-round fb-send" aria-label="Send" title="Send" disabled={!canSend}>
        <Send />
      </button>
    </form>
  );
}

/** Keeps the end in sight as text comes, unless the reader has scrolled away from it. */
function useStickyEnd(changed: string | undefined): React.RefObject<HTMLDivElement | null> {
  const end = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);

  useEffect(() => {
    const mark = end.current;
    if (mark === null || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        isAtEnd.current = entry?.isIntersecting ?? true;
      },
      { rootMargin: "0px 0px 160px 0px" },
    );
    observer.observe(mark);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (changed !== undefined && isAtEnd.current) end.current?.scrollIntoView?.({ block: "end" });
  }, [changed]);

  return end;
}
