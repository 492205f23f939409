import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { type Answer, type ChatClient, completed, type PartialAnswer } from "./client.js";
import { isComposing } from "./composing.js";
import { Sliders, ThumbDown, ThumbUp, Undo, Warning } from "./icons.js";
import { DIMENSIONS, HIGHEST_RATING } from "./opinion.js";
import { type Feedback, useFeedback } from "./useFeedback.js";

export interface FeedbackControlsProps {
  client: ChatClient;
  /** The answer; nothing is shown before it is there with its trace id. */
  answer: PartialAnswer | null;
  isStreaming?: boolean;
  /** What is rated from 1 to 5; an empty list leaves ratings out. */
  dimensions?: readonly string[];
}

/** Thumbs, a comment, ratings by dimension, and a way to change or take back all of them. */
export function FeedbackControls({ client, answer, isStreaming = false, dimensions }: FeedbackControlsProps) {
  const complete = completed(answer);
  if (isStreaming || complete === null) return null;
  return (
    <Controls
      key={complete.clientRequestId}
      client={client}
      answer={complete}
      dimensions={dimensions ?? DIMENSIONS}
    />
  );
}

interface ControlsProps {
  client: ChatClient;
  answer: Answer;
  dimensions: readonly string[];
}

function Controls({ client, answer, dimensions }: ControlsProps) {
  const feedback = useFeedback(client, answer);
  const [isRating, setIsRating] = useState(false);
  const ratingsId = useId();
  const thumbs = useRef<HTMLButtonElement>(null);
  // What is being written outlives a thumb that is rolled back.
  const [drafts] = useState(() => new Map<boolean, string>());
  const { opinion } = feedback;

  function undo(): void {
    drafts.clear();
    feedback.undo();
    // The button that was pressed goes away.
    thumbs.current?.focus();
  }

  function retry(): void {
    feedback.retry();
    thumbs.current?.focus();
  }

  return (
    <fieldset className="fb-feedback" aria-label="Feedback on this answer">
      <div className="fb-bar">
        <Thumb
          label="Good answer"
          isPressed={opinion.thumbs === true}
          onClick={() => feedback.rate(true)}
          buttonRef={thumbs}
        >
          <ThumbUp />
        </Thumb>
        <Thumb label="Bad answer" isPressed={opinion.thumbs === false} onClick={() => feedback.rate(false)}>
          <ThumbDown />
        </Thumb>
        {dimensions.length > 0 && (
          <button
            type="button"
            className="fb-button fb-quiet"
            aria-expanded={isRating}
            aria-controls={ratingsId}
            onClick={() => setIsRating(!isRating)}
          >
            <Sliders />
            Rate in detail
          </button>
        )}
        {feedback.canUndo && (
          <button type="button" className="fb-button fb-quiet" onClick={undo}>
            <Undo />
            Undo
          </button>
        )}
        <Thanks feedback={feedback} />
      </div>
      <Failure feedback={feedback} onRetry={retry} />
      {opinion.thumbs !== null && (
        <Comment
          key={String(opinion.thumbs)}
          isGood={opinion.thumbs}
          saved={opinion.comment}
          drafts={drafts}
          onSave={feedback.comment}
        />
      )}
      <div id={ratingsId} hidden={!isRating}>
        {isRating && (
          <div className="fb-ratings">
            {dimensions.map((dimension) => (
              <Rating
                key={dimension}
                dimension={dimension}
                value={opinion.ratings[dimension] ?? null}
                onRate={(rating) => feedback.rateDimension(dimension, rating)}
              />
            ))}
          </div>
        )}
      </div>
    </fieldset>
  );
}

interface ThumbProps {
  label: string;
  isPressed: boolean;
  onClick: () => void;
  buttonRef?: React.Ref<HTMLButtonElement>;
  children: React.ReactNode;
}

function Thumb({ label, isPressed, onClick, buttonRef, children }: ThumbProps) {
  return (
    <button
      ref={buttonRef ?? null}
      type="button"
      className="fb-button fb-thumb"
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

/** Always there, as a live region must be before its text changes. */
function Thanks({ feedback }: { feedback: Feedback }) {
  const { status, canUndo } = feedback;
  const said = canUndo ? "Thank you for your feedback." : "Your feedback was taken back.";
  return (
    <span className="fb-thanks" role="status">
      {status === "sending" && "Saving…"}
      {status === "saved" && said}
    </span>
  );
}

function Failure({ feedback, onRetry }: { feedback: Feedback; onRetry: () => void }) {
  return (
    <div role="alert">
      {feedback.status === "failed" && (
        <p className="fb-failure">
          <Warning />
          <span>
            <strong>Your feedback was not saved.</strong> {feedback.error}
          </span>
          {feedback.canRetry && (
            <button type="button" className="fb-button" onClick={onRetry}>
              Try again
            </button>
          )}
        </p>
      )}
    </div>
  );
}

interface CommentProps {
  isGood: boolean;
  saved: string;
  drafts: Map<boolean, string>;
  onSave: (text: string) => void;
}

function Comment({ isGood, saved, drafts, onSave }: CommentProps) {
  const [text, setText] = useState(() => saved || (drafts.get(isGood) ?? ""));
  const [isOpen, setIsOpen] = useState(saved === "");
  const id = useId();
  const edit = useRef<HTMLButtonElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const isTurned = useRef(false);

  // A save, one that failed, and another tab change what is saved while this stands here.
  const [known, setKnown] = useState(saved);
  if (known !== saved) {
    setKnown(saved);
    setIsOpen(saved === "");
    // What was written is not lost where it could not be saved.
    if (saved !== "") setText(saved);
  }

  useEffect(() => {
    // What was pressed here has gone away.
    if (isTurned.current) (isOpen ? field : edit).current?.focus();
    isTurned.current = false;
  }, [isOpen]);

  function open(): void {
    isTurned.current = true;
    setIsOpen(true);
  }

  function write(written: string): void {
    drafts.set(isGood, written);
    setText(written);
  }

  function save(event: FormEvent): void {
    event.preventDefault();
    if (text.trim() === saved) return;
    isTurned.current = true;
    onSave(text);
  }

  function cancel(): void {
    isTurned.current = true;
    drafts.delete(isGood);
    setText(saved);
    setIsOpen(false);
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) save(event);
    if (event.key !== "Escape" || saved === "" || isComposing(event)) return;
    // A dialog around it stays open.
    event.preventDefault();
    event.stopPropagation();
    cancel();
  }

  if (!isOpen)
    return (
      <div className="fb-comment-saved">
        <blockquote>{saved}</blockquote>
        <button ref={edit} type="button" className="fb-button fb-quiet" onClick={open}>
          Edit comment
        </button>
      </div>
    );
  return (
    <form className="fb-comment" onSubmit={save}>
      <label htmlFor={id}>{isGood ? "What was good about it?" : "What was wrong with it?"}</label>
      <textarea
        ref={field}
        id={id}
        rows={2}
        maxLength={4_000}
        placeholder="Optional"
        value={text}
        onChange={(event) => write(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="fb-comment-ends">
        <button type="submit" className="fb-button fb-primary" disabled={text.trim() === saved}>
          Save comment
        </button>
        {saved !== "" && (
          <button type="button" className="fb-button fb-quiet" onClick={cancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

interface RatingProps {
  dimension: string;
  value: number | null;
  onRate: (rating: number) => void;
}

function Rating({ dimension, value, onRate }: RatingProps) {
  const name = useId();
  return (
    <fieldset className="fb-rating">
      <legend>{dimension}</legend>
      <div className="fb-scale">
        {Array.from({ length: HIGHEST_RATING }, (_, index) => index + 1).map((rating) => (
          <label key={rating}>
            <input
              type="radio"
              name={name}
              value={rating}
              checked={value === rating}
              onChange={() => onRate(rating)}
            />
            <span>{rating}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
