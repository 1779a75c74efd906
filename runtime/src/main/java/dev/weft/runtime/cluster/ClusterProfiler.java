package dev.weft.runtime.cluster;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Curve;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Attention;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.worker.DeviceGroup;
import dev.weft.runtime.worker.GroupProgram;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Measures what the devices of this process reach when all of them work at once: single ops, each
 * at several sizes, memory, and what a call takes.
 */
public final class ClusterProfiler {
  /** A product of this part of the largest one's operations tells of the peak, too. */
  private static final double LARGE = 64;

  private static final double SECONDS = 0.06;
  private static final int FEWEST = 5;
  private static final int CALLS = 64;

  /** Rows and columns of the products whose results are summed over all devices. */
  private static final List<Long> SUMMED_ROWS = List.of(64L, 1024L);

  private static final long SUMMED_COLUMNS = 256;
  private static final int SUMS = 8;
  private static final double SUM_SECONDS = 0.4;
  private static final Bytes COPIED = Bytes.of(128L << 20);

  /** What a device touches between two runs on the same operands: more than its caches hold. */
  private static final Bytes BETWEEN = Bytes.of(32L << 20);

  private static final int MOST_COPIES = 64;

  /** Single ops reduce nothing. */
  private static final Bytes NO_BUCKETS = Bytes.of(1);

  /** The types that models compute in. */
  public static final List<DataType> DTYPES = List.of(DataType.F32, DataType.BF16, DataType.F64);

  private final DeviceGroup group;
  private final List<DataType> dtypes;
  private final Consumer<String> progress;

  private ClusterProfiler(DeviceGroup group, List<DataType> dtypes, Consumer<String> progress) {
    this.group = group;
    this.dtypes = dtypes;
    this.progress = progress;
  }

  /** A graph of one op. */
  @FunctionalInterface
  private interface Subject {
    Tensor of(Builder builder, DataType dtype, long size);
  }

  /** A class of ops: which, and at what sizes. */
  private record Kind(String name, List<Long> sizes, Subject subject) {}

  private static final List<Kind> KINDS =
      List.of(
          new Kind(
              "matmul",
              List.of(32L, 96L, 256L, 768L),
              (b, t, n) -> input(b, "x", t, n, n).matmul(input(b, "w", t, n, n))),
          new Kind(
              "attention",
              List.of(32L, 96L, 256L),
              (b, t, n) ->
                  Tensor.apply(
                          new Attention(true, 0.125),
                          List.of(
                              input(b, "q", t, 4, 4, n, 64),
                              input(b, "k", t, 4, 4, n, 64),
                              input(b, "v", t, 4, 4, n, 64)))
                      .getFirst()),
          new Kind(
              "convolution",
              List.of(8L, 24L, 64L),
              (b, t, n) ->
                  Tensor.one(
                      Convolution.of(2, 1, 1),
                      input(b, "x", t, 4, 16, n, n),
                      input(b, "w", t, 16, 16, 3, 3))),
          new Kind(
              DeviceProfile.OTHERS,
              List.of(1L << 12, 1L << 16, 1L << 20, 1L << 22),
              (b, t, n) -> input(b, "x", t, n).times(input(b, "y", t, n))),
          new Kind(
              "transcendental",
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) -> input(b, "x", t, n).gelu(Gelu.Form.TANH)),
          new Kind(
              "row-wise",
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) -> {
                DataType wide = t == DataType.F64 ? t : DataType.F32;
                return Tensor.apply(
                        new LayerNorm(1e-5),
                        List.of(
                            input(b, "x", t, n / 256, 256),
                            input(b, "s", wide, 256),
                            input(b, "h", wide, 256)))
                    .getFirst();
              }),
          new Kind(
              "lookup",
              List.of(1L << 4, 1L << 8, 1L << 12),
              (b, t, n) ->
                  input(b, "table", t, 256, 256).embedding(input(b, "ids", DataType.I64, n))),
          new Kind(
              "random",
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, _, n) ->
                  Tensor.one(
                      new RandomBits(7, Shape.of(n)),
                      input(b, "seed", DataType.I64),
                      input(b, "step", DataType.I64),
                      input(b, "layer", DataType.I64),
                      input(b, "row", DataType.I64))));

  private static Tensor input(Builder builder, String name, DataType dtype, long... sizes) {
    return new Tensor(builder, builder.input(name, TensorType.of(dtype, sizes), Graph.Kind.DATA));
  }

  /**
   * Measures.
   *
   * @param devices of this process that work at once, each on so many threads
   * @param dtypes of the ops measured
   * @param progress told what is measured
   */
  public static Cluster measure(
      int devices, int threads, List<DataType> dtypes, Consumer<String> progress) {
    Bytes memory = Bytes.of(Machine.memory().count() / devices / 10 * 9);
    Mesh mesh = Mesh.parse("device=" + devices);
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, mesh, threads, memory)) {
      return new ClusterProfiler(group, dtypes, progress).cluster(devices, memory);
    }
  }

  private Cluster cluster(int devices, Bytes memory) {
    double copied;
    progress.accept("memory");
    try (var copier = new Machine.Copier(devices, COPIED)) {
      double seconds = 0;
      for (int i = 0; i < FEWEST; i++) {
        seconds += 1 / copier.bytesPerSecond();
      }
      copied = FEWEST / seconds;
    }
    double memorySpeed = copied / devices;
    // A run has a cost of its own, whatever it calls: the two are told apart by longer programs.
    seconds(chain(CALLS));
    double one = seconds(chain(1));
    double call = Math.max(0, (seconds(chain(CALLS)) - one) / (CALLS - 1));
    Map<String, Double> peaks = new TreeMap<>();
    Map<String, Curve> curves = new TreeMap<>();
    for (DataType dtype : dtypes) {
      for (Kind kind : KINDS) {
        progress.accept(kind.name() + " " + dtype.text());
        measure(kind, dtype, one, memorySpeed, peaks, curves);
      }
    }
    Link link = link(call, memorySpeed);
    return new Cluster(
        ClusterFile.LOCAL,
        1,
        devices,
        new DeviceProfile(memory, peaks, memorySpeed, call, curves),
        link,
        link,
        false);
  }

  /**
   * The way between devices, from what two sizes of sums add to the products between which they
   * stand: devices that do not come to a sum at once wait for one another, as in a model. One
   * device has nobody to send to; it copies.
   */
  private Link link(double call, double memorySpeed) {
    if (group.size() == 1) {
      return new Link(call, memorySpeed / 2);
    }
    progress.accept("sums over devices");
    double[] bytes = new double[SUMMED_ROWS.size()];
    double[] added = new double[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      TensorType type = TensorType.of(DataType.F32, SUMMED_ROWS.get(i), SUMMED_COLUMNS);
      bytes[i] = new AllReduce(group.mesh().axes(), Folding.SUM).bytesSent(type);
      added[i] = added(SUMMED_ROWS.get(i));
    }
    int last = bytes.length - 1;
    double slope = Math.max(0, (added[last] - added[0]) / (bytes[last] - bytes[0]));
    double perByte = Math.max(slope, 1 / memorySpeed);
    double latency = (added[0] - bytes[0] * perByte) / (group.size() - 1);
    return new Link(Math.max(latency, call), 1 / perByte);
  }

  /** What one sum over all devices adds. */
  private double added(long rows) {
    var buffers = new ArrayList<DeviceBuffer>();
    try (GroupProgram with = load(products(rows, true), buffers);
        GroupProgram without = load(products(rows, false), buffers)) {
      seconds(with);
      seconds(without);
      var differences = new ArrayList<Double>();
      long end = System.nanoTime() + (long) (SUM_SECONDS * 1e9);
      while (differences.size() < FEWEST || System.nanoTime() < end) {
        differences.add((seconds(with) - seconds(without)) / SUMS);
      }
      // What else runs on the machine falls on some runs with sums, and on some without.
      Collections.sort(differences);
      return Math.max(0, differences.get(differences.size() / 2));
    } finally {
      buffers.forEach(DeviceBuffer::close);
    }
  }

  private static double seconds(GroupProgram program) {
    long begin = System.nanoTime();
    program.run();
    return (System.nanoTime() - begin) * 1e-9;
  }

  private Graph products(long rows, boolean summed) {
    var builder = new Builder("products");
    Tensor x = input(builder, "x", DataType.F32, rows, SUMMED_COLUMNS);
    Tensor w = input(builder, "w", DataType.F32, SUMMED_COLUMNS, SUMMED_COLUMNS);
    for (int i = 0; i < SUMS; i++) {
      x = x.matmul(w);
      if (summed) {
        x = Tensor.one(new AllReduce(group.mesh().axes(), Folding.SUM), x);
      }
    }
    builder.output(x.value());
    return builder.build();
  }

  private void measure(
      Kind kind,
      DataType dtype,
      double overhead,
      double memorySpeed,
      Map<String, Double> peaks,
      Map<String, Curve> curves) {
    var rates = new ArrayList<Curve.Point>();
    boolean arithmetic = List.of("matmul", "attention", "convolution").contains(kind.name());
    for (long size : kind.sizes()) {
      Graph graph = graph(kind, dtype, size);
      Node node = graph.nodes().getLast();
      double whole = seconds(graph);
      double taken = Math.max(whole - overhead, whole / 10);
      double work = arithmetic ? node.cost().flops() : node.cost().bytes();
      rates.add(new Curve.Point(work, work / taken));
    }
    double limit = memorySpeed;
    if (arithmetic) {
      if (kind.name().equals("matmul")) {
        // Of a product that takes no longer than a call little is known.
        double large = rates.getLast().size() / LARGE;
        peaks.put(
            dtype.text(),
            rates.stream()
                .filter(point -> point.size() >= large)
                .mapToDouble(Curve.Point::share)
                .max()
                .orElseThrow());
      }
      limit = Objects.requireNonNull(peaks.get(dtype.text()));
    }
    double unit = limit;
    curves.put(
        kind.name() + "/" + dtype.text(),
        new Curve(rates.stream().map(p -> new Curve.Point(p.size(), p.share() / unit)).toList()));
  }

  /** Calls that do next to nothing, one after the other. */
  private static Graph chain(int calls) {
    var builder = new Builder("calls");
    Tensor x = input(builder, "x", DataType.F32, 1);
    for (int i = 0; i < calls; i++) {
      x = x.sin();
    }
    builder.output(x.value());
    return builder.build();
  }

  private static Graph graph(Kind kind, DataType dtype, long size) {
    var builder = new Builder(kind.name());
    Tensor result = kind.subject().of(builder, dtype, size);
    builder.output(result.value());
    return builder.build();
  }

  /**
   * The mean time of a run, all devices running at once: a median would leave out what others that
   * use the machine take from it, which the steps of a model cannot. Every run has other operands
   * than those before, as ops in a model have: what a cache still holds of the last run helps
   * nobody there.
   */
  private double seconds(Graph graph) {
    long bytes =
        Stream.concat(graph.inputValues().stream(), graph.outputValues().stream())
            .mapToLong(value -> value.type().bytes())
            .sum();
    int copies = (int) Math.clamp(BETWEEN.count() / bytes, 1, MOST_COPIES);
    var buffers = new ArrayList<DeviceBuffer>();
    var programs = new ArrayList<GroupProgram>();
    try {
      for (int copy = 0; copy < copies; copy++) {
        programs.add(load(graph, buffers));
      }
      return seconds(programs);
    } finally {
      programs.forEach(GroupProgram::close);
      buffers.forEach(DeviceBuffer::close);
    }
  }

  /** The graph in memory of its own. */
  private GroupProgram load(Graph graph, List<DeviceBuffer> buffers) {
    List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
    List<Map<Integer, DeviceBuffer>> given = new ArrayList<>();
    for (int device = 0; device < group.size(); device++) {
      Map<Value, DeviceBuffer> inputs = new HashMap<>();
      for (Value value : graph.inputValues()) {
        inputs.put(value, allocate(device, value, buffers));
      }
      bound.add(inputs);
      Map<Integer, DeviceBuffer> outputs = new HashMap<>();
      for (int i = 0; i < graph.outputs().size(); i++) {
        outputs.put(i, allocate(device, graph.outputs().get(i).value(), buffers));
      }
      given.add(outputs);
    }
    return group.load(graph, bound, given, NO_BUCKETS);
  }

  private DeviceBuffer allocate(int device, Value value, List<DeviceBuffer> buffers) {
    DeviceBuffer buffer = group.device(device).allocate(value.name(), value.type());
    buffers.add(buffer);
    return buffer;
  }

  private double seconds(List<GroupProgram> programs) {
    List<Double> means =
        group.onAll(
            device -> {
              programs.forEach(program -> program.on(device).run());
              long begin = System.nanoTime();
              long now = begin;
              int runs = 0;
              while (runs < FEWEST || now - begin < SECONDS * 1e9) {
                programs.get(runs % programs.size()).on(device).run();
                runs++;
                now = System.nanoTime();
              }
              return (now - begin) * 1e-9 / runs;
            });
    return means.stream().mapToDouble(t -> t).average().orElseThrow();
  }
}
