import "./styles.css";

export type { ChatLook } from "./ChatPanel";
export { type ChatProps, ChatWithFeedback } from "./ChatWithFeedback";
export {
  type Answer,
  type AssessmentInput,
  type ChatClient,
  type ClientOptions,
  createClient,
} from "./client";
export { FeedbackControls, type FeedbackControlsProps } from "./FeedbackControls";
export { type FeedbackState, sendUnsent } from "./feedbackStore";
export { DIMENSIONS, type Opinion } from "./opinion";
export { isRetryable, messageOf, ProblemError } from "./problem";
export { StreamingChatWithFeedback } from "./StreamingChatWithFeedback";
export { readEvents } from "./sse";
export { BrokenStreamError, type ChatEvent, streamChat } from "./streamChat";
export { type Feedback, useFeedback } from "./useFeedback";
export { type StreamingChat, type StreamingState, useStreamingChat } from "./useStreamingChat";
