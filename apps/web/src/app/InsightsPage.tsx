import { useState } from "react";
import { Comments } from "./Comments";
import { count, finePercent, type Insights } from "./insights";
import { OverTime, OverTimeTable } from "./OverTime";
import { Segments } from "./Segments";
import { useInsights } from "./useInsights";

const RANGES = [
  { minutes: 15, label: "15 min" },
  { minutes: 60, label: "1 hour" },
  { minutes: 24 * 60, label: "24 hours" },
  { minutes: 7 * 24 * 60, label: "7 days" },
] as const;

const LIVE = { connecting: "Connecting…", live: "Live from the receipts", off: "Not live" } as const;

interface InsightsPageProps {
  mlflowUrl: string | null;
  experimentId: string | null;
}

export function InsightsPage({ mlflowUrl, experimentId }: InsightsPageProps) {
  const [minutes, setMinutes] = useState<number>(60);
  const { insights, error, live, refresh } = useInsights(minutes);
  return (
    <div className="insights">
      <div className="insights-head">
        <div>
          <h1>Insights</h1>
          <p className={live === "live" ? "live is-live" : "live"} role="status">
            {LIVE[live]}
          </p>
        </div>
        <fieldset className="range">
          <legend className="fb-sr-only">Time range</legend>
          {RANGES.map((range) => (
            <label key={range.minutes}>
              <input
                type="radio"
                name="range"
                checked={minutes === range.minutes}
                onChange={() => setMinutes(range.minutes)}
              />
              <span>{range.label}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <div role="alert">
        {error && (
          <p className="fb-failure">
            <span>
              <strong>{insights ? "This may be out of date." : "Insights could not be loaded."}</strong>{" "}
              {error}
            </span>
            <button type="button" className="fb-button" onClick={refresh}>
              Try again
            </button>
          </p>
        )}
      </div>
      {insights && <Overview insights={insights} />}
      {!insights && !error && <p className="loading">Loading…</p>}
      {mlflowUrl && (
        <p className="mlflow">
          <a href={experimentUrl(mlflowUrl, experimentId)} target="_blank" rel="noreferrer">
            All traces in MLflow<span className="fb-sr-only"> (opens a new tab)</span>{" "}
            <span aria-hidden="true">↗</span>
          </a>
        </p>
      )}
    </div>
  );
}

function experimentUrl(mlflowUrl: string, experimentId: string | null): string {
  const base = mlflowUrl.replace(/\/+$/, "");
  return experimentId ? `${base}/#/experiments/${encodeURIComponent(experimentId)}/traces` : base;
}

function Overview({ insights }: { insights: Insights }) {
  const {
    total,
    newest_only,
    positive,
    negative,
    rate,
    over_time,
    minutes,
    by_version,
    by_region,
    comments,
    now,
  } = insights;
  return (
    <>
      <dl className="tiles">
        <Tile term="Positive rate" value={finePercent(rate)} isMain />
        <Tile term="Feedback received" value={count(total)} />
        <Tile term="Positive" value={count(positive)} mark="positive" />
        <Tile term="Negative" value={count(negative)} mark="negative" />
      </dl>
      {newest_only !== null && (
        <p className="more">
          More came in than is summed up here: these are the newest {count(newest_only)}.
        </p>
      )}
      <section className="card">
        <h2>Positive rate over time</h2>
        {positive + negative === 0 ? (
          <p className="empty">
            No judgements in this time. <a href="/">Ask something in the chat</a> and rate the answer: it
            shows up here within a second or two.
          </p>
        ) : (
          <>
            <p className="legend" aria-hidden="true">
              <i className="bar-positive" /> Positive <i className="bar-negative" /> Negative
            </p>
            <OverTime buckets={over_time} minutes={minutes} />
            <OverTimeTable buckets={over_time} minutes={minutes} />
          </>
        )}
      </section>
      <div className="pair">
        <Segments title="By version" segments={by_version} />
        <Segments title="By region" segments={by_region} />
      </div>
      <Comments comments={comments} now={now} />
    </>
  );
}

interface TileProps {
  term: string;
  value: string;
  isMain?: boolean;
  mark?: "positive" | "negative";
}

function Tile({ term, value, isMain = false, mark }: TileProps) {
  return (
    <div className={isMain ? "tile tile-main" : "tile"}>
      <dt>
        {mark && <i className={`bar-${mark}`} aria-hidden="true" />}
        {term}
      </dt>
      <dd>{value}</dd>
    </div>
  );
}
