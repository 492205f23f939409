import { useState } from "react";
import { type Bucket, count, percent, rateOf, timeLabel } from "./insights";
import { useWidth } from "./useWidth";

const LEFT = 44;
const RIGHT = 6;
const RATE_TOP = 10;
const RATE_HEIGHT = 120;
const VOLUME_TOP = 158;
const VOLUME_HEIGHT = 64;
const HEIGHT = 248;
const LABEL_WIDTH = 90;
const FEW_POINTS = 20;

interface OverTimeProps {
  buckets: readonly Bucket[];
  minutes: number;
}

/** The positive rate as a line, and below it how many judgements it rests on. */
export function OverTime({ buckets, minutes }: OverTimeProps) {
  const [ref, width] = useWidth(640);
  const [active, setActive] = useState<number | null>(null);
  const step = Math.max(1, width - LEFT - RIGHT) / Math.max(1, buckets.length);
  const highest = Math.max(1, ...buckets.map(({ positive, negative }) => positive + negative));
  const shown = active === null ? undefined : buckets[active];

  function x(index: number): number {
    return LEFT + (index + 0.5) * step;
  }

  return (
    <div className="chart" ref={ref}>
      <svg
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={summary(buckets, minutes)}
        onPointerLeave={() => setActive(null)}
      >
        <RateAxis width={width} />
        <text className="chart-caption" x={LEFT} y={VOLUME_TOP - 10}>
          Judgements, up to {count(highest)}
        </text>
        <line
          className="chart-grid"
          x1={LEFT}
          x2={width - RIGHT}
          y1={VOLUME_TOP + VOLUME_HEIGHT}
          y2={VOLUME_TOP + VOLUME_HEIGHT}
        />
        {active !== null && (
          <rect
            className="chart-active"
            x={LEFT + active * step}
            y={RATE_TOP}
            width={step}
            height={VOLUME_TOP + VOLUME_HEIGHT - RATE_TOP}
          />
        )}
        {buckets.map((bucket, index) => (
          <Column key={bucket.at} bucket={bucket} left={LEFT + index * step} step={step} highest={highest} />
        ))}
        <RateLine buckets={buckets} x={x} />
        <TimeAxis buckets={buckets} minutes={minutes} x={x} step={step} />
        {buckets.map((bucket, index) => (
          <rect
            key={bucket.at}
            x={LEFT + index * step}
            y={0}
            width={step}
            height={HEIGHT}
            fill="transparent"
            onPointerEnter={() => setActive(index)}
          />
        ))}
      </svg>
      {shown && active !== null && <Tip bucket={shown} minutes={minutes} x={x(active)} width={width} />}
    </div>
  );
}

function RateAxis({ width }: { width: number }) {
  return [0, 0.5, 1].map((rate) => (
    <g key={rate}>
      <line className="chart-grid" x1={LEFT} x2={width - RIGHT} y1={rateY(rate)} y2={rateY(rate)} />
      <text className="chart-label" x={LEFT - 8} y={rateY(rate) + 4} textAnchor="end">
        {percent(rate)}
      </text>
    </g>
  ));
}

function RateLine({ buckets, x }: { buckets: readonly Bucket[]; x: (index: number) => number }) {
  const points = buckets.flatMap((bucket, index) => {
    const rate = rateOf(bucket);
    return rate === null ? [] : [{ index, at: bucket.at, x: x(index), y: rateY(rate) }];
  });
  // Where nobody judged, there is no rate, and no line either.
  const isDotted = points.length <= FEW_POINTS;
  const path = points.map(({ index, x, y }, place) => {
    const isJoined = points[place - 1]?.index === index - 1;
    return `${isJoined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return (
    <g>
      <path className="chart-line" d={path.join("")} />
      {points
        .filter(
          ({ index }, place) =>
            isDotted || isAlone(index, points[place - 1]?.index, points[place + 1]?.index),
        )
        .map((point) => (
          <circle key={point.at} className="chart-dot" cx={point.x} cy={point.y} r={3} />
        ))}
    </g>
  );
}

/** No line leads to a point without neighbours: only its dot shows it. */
function isAlone(index: number, before: number | undefined, after: number | undefined): boolean {
  return before !== index - 1 && after !== index + 1;
}

interface ColumnProps {
  bucket: Bucket;
  left: number;
  step: number;
  highest: number;
}

function Column({ bucket, left, step, highest }: ColumnProps) {
  const gap = Math.min(4, step * 0.25);
  const base = VOLUME_TOP + VOLUME_HEIGHT;
  const positive = (bucket.positive / highest) * VOLUME_HEIGHT;
  const negative = (bucket.negative / highest) * VOLUME_HEIGHT;
  const place = { x: left + gap / 2, width: Math.max(1, step - gap) };
  return (
    <g>
      <rect className="chart-positive" {...place} y={base - positive} height={positive} />
      <rect className="chart-negative" {...place} y={base - positive - negative} height={negative} />
    </g>
  );
}

interface TimeAxisProps extends OverTimeProps {
  x: (index: number) => number;
  step: number;
}

function TimeAxis({ buckets, minutes, x, step }: TimeAxisProps) {
  const every = Math.max(1, Math.ceil(LABEL_WIDTH / step));
  const first = Math.floor((every - 1) / 2);
  return buckets
    .map((bucket, index) => ({ bucket, index }))
    .filter(({ index }) => index % every === first)
    .map(({ bucket, index }) => (
      <text key={bucket.at} className="chart-label" x={x(index)} y={HEIGHT - 6} textAnchor="middle">
        {timeLabel(bucket.at, minutes)}
      </text>
    ));
}

interface TipProps {
  bucket: Bucket;
  minutes: number;
  x: number;
  width: number;
}

function Tip({ bucket, minutes, x, width }: TipProps) {
  const side = x > width / 2 ? { right: width - x + 10 } : { left: x + 10 };
  return (
    <div className="chart-tip" style={side} aria-hidden="true">
      <strong>{timeLabel(bucket.at, minutes)}</strong>
      <span>{percent(rateOf(bucket))} positive</span>
      <span>
        {count(bucket.positive)} up, {count(bucket.negative)} down
      </span>
    </div>
  );
}

function rateY(rate: number): number {
  return RATE_TOP + (1 - rate) * RATE_HEIGHT;
}

function summary(buckets: readonly Bucket[], minutes: number): string {
  const rates = buckets.map(rateOf).filter((rate) => rate !== null);
  if (rates.length === 0) return `Positive rate over the last ${minutes} minutes: no judgements.`;
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  return `Positive rate over the last ${minutes} minutes: between ${percent(low)} and ${percent(high)}, most recently ${percent(rates.at(-1) ?? null)}.`;
}

/** The same as a table, for those who read rather than look. */
export function OverTimeTable({ buckets, minutes }: OverTimeProps) {
  const rows = buckets.filter((bucket) => rateOf(bucket) !== null);
  return (
    <details className="chart-table">
      <summary>Show as a table</summary>
      <section className="scroller" aria-label="Judgements over time" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">Positive</th>
              <th scope="col">Negative</th>
              <th scope="col">Rate</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((bucket) => (
              <tr key={bucket.at}>
                <th scope="row">{timeLabel(bucket.at, minutes)}</th>
                <td>{count(bucket.positive)}</td>
                <td>{count(bucket.negative)}</td>
                <td>{percent(rateOf(bucket))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
