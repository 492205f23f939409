// The entry of the packed library: its styles become a file of their own, which its types know nothing of.
import "./styles.css";

export * from "./index.js";
