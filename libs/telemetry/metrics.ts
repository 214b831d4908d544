// Metrics in the Prometheus format: counters, gauges and histograms by typed names, plus those of the process itself.
// The only file that knows prom-client. Each instance is a registry of its own; nothing is global.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * How often it is looked how late the event loop is; the percentiles count from look to look, so they are never less. Each look wakes the
 * process: at 10 ms, the library's default, that was most of what an idle one cost.
 */
const EVENT_LOOP_LOOK_MS = 250;

/** Units are in names: `_seconds`, `_bytes`, `_entries`; a counter ends in `_total`. */
type CounterName = `fleetlog_${string}_total`;
type GaugeName = `fleetlog_${string}`;
type HistogramUnit = 'seconds' | 'bytes' | 'entries';
type HistogramName = `fleetlog_${string}_${HistogramUnit}`;

/** Label values of one series; few and bounded (never an id). */
type Labels<Name extends string> = Readonly<Record<Name, string>>;

interface CounterMetric<Name extends string> {
  add(labels: Labels<Name>, amount?: number): void;
}

interface GaugeMetric<Name extends string> {
  set(labels: Labels<Name>, value: number): void;
  /** Drops one series, e.g. of something that is gone. */
  remove(labels: Labels<Name>): void;
}

interface HistogramMetric<Name extends string> {
  /** In the unit of the name. */
  observe(labels: Labels<Name>, value: number): void;
}

/** Asking twice for one name gives the same metric (the labels must be the same: anything else is a programming error and throws). */
export interface Metrics {
  counter<const Name extends string = never>(
    name: CounterName,
    help: string,
    labels?: readonly Name[],
  ): CounterMetric<Name>;
  gauge<const Name extends string = never>(
    name: GaugeName,
    help: string,
    labels?: readonly Name[],
  ): GaugeMetric<Name>;
  histogram<const Name extends string = never>(
    name: HistogramName,
    help: string,
    labels?: readonly Name[],
  ): HistogramMetric<Name>;
  /** Everything in the text format, and its media type. */
  exposition(): Promise<{ readonly contentType: string; readonly body: string }>;
}

const buckets: Readonly<Record<HistogramUnit, readonly number[]>> = {
  seconds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  bytes: [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304],
  entries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000],
};

const unitOf = (name: HistogramName): HistogramUnit =>
  name.endsWith('_bytes') ? 'bytes' : name.endsWith('_entries') ? 'entries' : 'seconds';

/**
 * What has changed of each series since it was last asked for. The library finds a series by a text of all its labels each time, which costs more than
 * what is counted when thousands are a second; here it is told once, when somebody asks.
 */
const createSeries = <Name extends string>(labels: readonly Name[]) => {
  const changed = new Map<string, { readonly values: Labels<Name>; value: number }>();
  const keyOf = (values: Labels<Name>): string => {
    let key = '';
    for (const label of labels) key += `${values[label]}\n`;
    return key;
  };
  return {
    change: (values: Labels<Name>, change: (before: number | undefined) => number): void => {
      const key = keyOf(values);
      const known = changed.get(key);
      if (known === undefined) changed.set(key, { values, value: change(undefined) });
      else known.value = change(known.value);
    },
    forget: (values: Labels<Name>): void => void changed.delete(keyOf(values)),
    drain: (tell: (values: Labels<Name>, value: number) => void): void => {
      const all = [...changed.values()];
      changed.clear();
      for (const { values, value } of all) tell(values, value);
    },
  };
};

/** What a metric of the library is made of. */
interface Common<Name extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: Name[];
  readonly registers: Registry[];
}

const counterOf = <Name extends string>(common: Common<Name>): CounterMetric<Name> => {
  const added = createSeries(common.labelNames);
  const counter = new Counter({
    ...common,
    collect: () => added.drain((values, amount) => counter.inc(values, amount)),
  });
  return { add: (values, amount = 1) => added.change(values, (before = 0) => before + amount) };
};

const gaugeOf = <Name extends string>(common: Common<Name>): GaugeMetric<Name> => {
  const changed = createSeries(common.labelNames);
  const gauge = new Gauge({
    ...common,
    collect: () => changed.drain((values, value) => gauge.set(values, value)),
  });
  return {
    set: (values, value) => changed.change(values, () => value),
    remove: (values) => {
      changed.forget(values);
      gauge.remove(values);
    },
  };
};

interface MetricsOptions {
  /** Also measure the process: CPU, memory, event loop, garbage collection. Default true. */
  readonly processMetrics?: boolean;
}

/** An empty registry. */
export const createMetrics = (options: MetricsOptions = {}): Metrics => {
  const registry = new Registry();
  if (options.processMetrics ?? true)
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_LOOK_MS });
  const made = new Map<string, { readonly shape: string; readonly metric: unknown }>();

  const once = <Metric>(
    name: string,
    kind: string,
    labels: readonly string[],
    make: () => Metric,
  ): Metric => {
    const shape = `${kind}(${labels.join(',')})`;
    const known = made.get(name);
    if (known === undefined) {
      const metric = make();
      made.set(name, { shape, metric });
      return metric;
    }
    if (known.shape !== shape) {
      throw new TypeError(`metric ${name} is ${known.shape} already and cannot become ${shape}`);
    }
    return known.metric as Metric;
  };

  const common = <Name extends string>(
    name: string,
    help: string,
    labels: readonly Name[],
  ): Common<Name> => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  });

  return {
    counter: (name, help, labels = []) =>
      once(name, 'counter', labels, () => counterOf(common(name, help, labels))),
    gauge: (name, help, labels = []) =>
      once(name, 'gauge', labels, () => gaugeOf(common(name, help, labels))),
    histogram: (name, help, labels = []) =>
      once(name, 'histogram', labels, () => {
        const histogram = new Histogram({
          ...common(name, help, labels),
          buckets: [...buckets[unitOf(name)]],
        });
        return { observe: (values, value) => histogram.observe(values, value) };
      }),
    exposition: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
};
