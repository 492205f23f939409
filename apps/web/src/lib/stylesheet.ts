/** What `feedback-web/styles.css` is to TypeScript. */
export {};
