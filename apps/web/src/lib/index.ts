export type { ChatLook } from "./ChatPanel.js";
export { type ChatProps, ChatWithFeedback } from "./ChatWithFeedback.js";
export {
  type Answer,
  type AssessmentInput,
  type ChatClient,
  type ClientOptions,
  createClient,
  type PartialAnswer,
} from "./client.js";
export { FeedbackControls, type FeedbackControlsProps } from "./FeedbackControls.js";
export { type FeedbackState, sendUnsent } from "./feedbackStore.js";
export { DIMENSIONS, type Opinion } from "./opinion.js";
export { isRetryable, messageOf, ProblemError } from "./problem.js";
export { StreamingChatWithFeedback } from "./StreamingChatWithFeedback.js";
export { readEvents } from "./sse.js";
export { BrokenStreamError, type ChatEvent, streamChat } from "./streamChat.js";
export { type Feedback, useFeedback } from "./useFeedback.js";
export { type StreamingChat, type StreamingState, useStreamingChat } from "./useStreamingChat.js";
