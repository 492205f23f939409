import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

// A second, the library's own, is little on a machine that runs a Kafka beside.
configure({ asyncUtilTimeout: 10_000 });

afterEach(() => {
  cleanup();
  localStorage.clear();
  sessionStorage.clear();
});
