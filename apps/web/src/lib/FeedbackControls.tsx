import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { type Answer, type ChatClient, completed, type PartialAnswer } from "./client.js";
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
  const { opinion } = feedback;

  function undo(): void {
    feedback.undo();
    // The button that was pressed goes away.
    thumbs.current?.focus();
  }

  return (
    <section className="fb-feedback" aria-label="Feedback on this answer">
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
      <Failure feedback={feedback} />
      {opinion.thumbs !== null && (
        <Comment
          key={String(opinion.thumbs)}
          isGood={opinion.thumbs}
          saved={opinion.comment}
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
    </section>
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

function Failure({ feedback }: { feedback: Feedback }) {
  return (
    <div role="alert">
      {feedback.status === "failed" && (
        <p className="fb-failure">
          <Warning />
          <span>
            <strong>Your feedback was not saved.</strong> {feedback.error}
          </span>
          {feedback.canRetry && (
            <button type="button" className="fb-button" onClick={feedback.retry}>
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
  onSave: (text: string) => void;
}

function Comment({ isGood, saved, onSave }: CommentProps) {
  const [text, setText] = useState(saved);
  const [isOpen, setIsOpen] = useState(saved === "");
  const id = useId();
  const edit = useRef<HTMLButtonElement>(null);
  const wasSavedHere = useRef(false);

  // A save, one that failed, and another tab change what is saved while this stands here.
  const [known, setKnown] = useState(saved);
  if (known !== saved) {
    setKnown(saved);
    setIsOpen(saved === "");
    // What was written is not lost where it could not be saved.
    if (saved !== "") setText(saved);
  }

  useEffect(() => {
    if (!isOpen && wasSavedHere.current) edit.current?.focus();
    wasSavedHere.current = false;
  }, [isOpen]);

  function save(event: FormEvent): void {
    event.preventDefault();
    if (text.trim() === saved) return;
    wasSavedHere.current = true;
    onSave(text);
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) save(event);
  }

  if (!isOpen)
    return (
      <div className="fb-comment-saved">
        <blockquote>{saved}</blockquote>
        <button ref={edit} type="button" className="fb-button fb-quiet" onClick={() => setIsOpen(true)}>
          Edit comment
        </button>
      </div>
    );
  return (
    <form className="fb-comment" onSubmit={save}>
      <label htmlFor={id}>{isGood ? "What was good about it?" : "What was wrong with it?"}</label>
      <textarea
        id={id}
        rows={2}
        maxLength={4_000}
        placeholder="Optional"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <button type="submit" className="fb-button fb-primary" disabled={text.trim() === saved}>
        Save comment
      </button>
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
