import { useEffect, useState } from "react";
import { DIMENSIONS } from "../lib";

export interface Config {
  open: boolean;
  mlflow_url: string | null;
  experiment_id: string | null;
  notice: string | null;
  dimensions: readonly string[];
}

const PLAIN: Config = {
  open: false,
  mlflow_url: null,
  experiment_id: null,
  notice: null,
  dimensions: DIMENSIONS,
};

/** What the service says of itself; the page works without it too. */
export function useConfig(): Config {
  const [config, setConfig] = useState(PLAIN);

  useEffect(() => {
    const controller = new AbortController();
    async function load(): Promise<void> {
      try {
        const response = await fetch("/v1/config", { signal: controller.signal });
        if (response.ok) setConfig({ ...PLAIN, ...((await response.json()) as Partial<Config>) });
      } catch {
        // Without it: no notice, no links to MLflow, and the usual dimensions.
      }
    }
    void load();
    return () => controller.abort();
  }, []);

  return config;
}
