package dev.weft.runtime.cluster;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Curve;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Pace;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.worker.DeviceGroup;
import dev.weft.runtime.worker.GroupProgram;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Measures what the devices of this process reach when all of them work at once: single ops, each
 * at several sizes, memory, and what a call takes.
 */
public final class ClusterProfiler {
  /** A product of this part of the largest one's operations tells of the peak, too. */
  private static final double LARGE = 64;

  private static final double SECONDS = 2;
  private static final int COPIES = 5;
  private static final int FEWEST = 5;
  private static final int CALLS = 64;

  /** Rows and columns of the products whose results are summed over all devices. */
  private static final List<Long> SUMMED_ROWS = List.of(64L, 1024L);

  private static final long SUMMED_COLUMNS = 256;
  private static final int SUMS = 8;
  private static final double SUM_SECONDS = 0.4;
  private static final Bytes COPIED = Bytes.of(128L << 20);

  /** The types that models compute in. */
  public static final List<DataType> DTYPES = List.of(DataType.F32, DataType.BF16, DataType.F64);

  private final DeviceGroup group;
  private final Consumer<String> progress;

  private ClusterProfiler(DeviceGroup group, Consumer<String> progress) {
    this.group = group;
    this.progress = progress;
  }

  /**
   * What was found.
   *
   * @param cluster as it is on average
   * @param pace how fast its devices went while ops of the first data type were measured
   */
  public record Measured(Cluster cluster, Pace pace) {}

  /**
   * Measures.
   *
   * @param devices of this process that work at once, each on so many threads
   * @param dtypes of the ops measured, at least one
   * @param progress told what is measured
   */
  public static Measured measure(
      int devices, int threads, List<DataType> dtypes, Consumer<String> progress) {
    Bytes memory = Bytes.of(Machine.memory().count() / devices / 10 * 9);
    Mesh mesh = Mesh.parse("device=" + devices);
    // By the routes that training takes.
    try (DeviceGroup group =
        DeviceGroup.open(
            DeviceKind.CPU,
            mesh,
            threads,
            memory,
            Machine.routes(Map.of()),
            DeviceGroup.PATIENCE)) {
      return new ClusterProfiler(group, progress).measured(dtypes, memory);
    }
  }

  private Measured measured(List<DataType> dtypes, Bytes memory) {
    double copied;
    progress.accept("memory");
    try (var copier = new Machine.Copier(group.size(), COPIED)) {
      double seconds = 0;
      for (int i = 0; i < COPIES; i++) {
        seconds += 1 / copier.bytesPerSecond();
      }
      copied = COPIES / seconds;
    }
    double memorySpeed = copied / group.size();
    Map<String, Double> peaks = new TreeMap<>();
    Map<String, Curve> curves = new TreeMap<>();
    var paces = new ArrayList<Pace>();
    double call = 0;
    for (DataType dtype : dtypes) {
      progress.accept("ops in " + dtype.text());
      Ops ops = ops(dtype);
      call += ops.call() / dtypes.size();
      paces.add(ops.pace());
      double peak = peak(Objects.requireNonNull(ops.rates().get("matmul")));
      peaks.put(dtype.text(), peak);
      for (ProfiledOps.Kind kind : ProfiledOps.ALL) {
        double limit = kind.arithmetic() ? peak : memorySpeed;
        curves.put(
            kind.name() + "/" + dtype.text(),
            new Curve(
                Objects.requireNonNull(ops.rates().get(kind.name())).stream()
                    .map(p -> new Curve.Point(p.size(), p.share() / limit))
                    .toList()));
      }
    }
    Link link = link(call, memorySpeed);
    var cluster =
        new Cluster(
            ClusterFile.LOCAL,
            1,
            group.size(),
            new DeviceProfile(memory, peaks, memorySpeed, call, curves),
            link,
            link,
            false);
    return new Measured(cluster, paces.getFirst());
  }

  /**
   * What ops of one data type do.
   *
   * @param call what a call takes at least, in seconds
   * @param rates by class: work per second, by work
   */
  private record Ops(double call, Map<String, List<Curve.Point>> rates, Pace pace) {}

  private Ops ops(DataType dtype) {
    var samples = new ArrayList<ProfiledOps.Sample>();
    // A run has a cost of its own, whatever it calls: the two are told apart by longer programs.
    List<Graph> graphs = new ArrayList<>(List.of(ProfiledOps.chain(1), ProfiledOps.chain(CALLS)));
    for (ProfiledOps.Kind kind : ProfiledOps.ALL) {
      for (long size : kind.sizes()) {
        ProfiledOps.Sample sample = kind.sample(dtype, size);
        samples.add(sample);
        graphs.add(sample.graph());
      }
    }
    Passes passes = Passes.of(group, graphs, SECONDS);
    double[] means = passes.means();
    double one = means[0];
    double call = Math.max(0, (means[1] - one) / (CALLS - 1));
    Map<String, List<Curve.Point>> rates = new TreeMap<>();
    for (int i = 0; i < samples.size(); i++) {
      ProfiledOps.Sample sample = samples.get(i);
      double whole = means[i + 2];
      double taken = Math.max(whole - one - call * (sample.calls() - 1), whole / 10);
      rates
          .computeIfAbsent(sample.kind().name(), _ -> new ArrayList<>())
          .add(new Curve.Point(sample.work(), sample.work() * sample.calls() / taken));
    }
    return new Ops(call, rates, passes.pace());
  }

  /** Of a product that takes no longer than a call little is known. */
  private static double peak(List<Curve.Point> products) {
    double large = products.getLast().size() / LARGE;
    return products.stream()
        .filter(point -> point.size() >= large)
        .mapToDouble(Curve.Point::share)
        .max()
        .orElseThrow();
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
    try (GroupProgram with = Passes.load(group, products(rows, true), buffers);
        GroupProgram without = Passes.load(group, products(rows, false), buffers)) {
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
    Tensor x = ProfiledOps.input(builder, "x", DataType.F32, rows, SUMMED_COLUMNS);
    Tensor w = ProfiledOps.input(builder, "w", DataType.F32, SUMMED_COLUMNS, SUMMED_COLUMNS);
    for (int i = 0; i < SUMS; i++) {
      x = x.matmul(w);
      if (summed) {
        x = Tensor.one(new AllReduce(group.mesh().axes(), Folding.SUM), x);
      }
    }
    builder.output(x.value());
    return builder.build();
  }
}
