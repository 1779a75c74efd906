package dev.weft.runtime.cluster;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Pace;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Noise;
import dev.weft.runtime.worker.DeviceGroup;
import dev.weft.runtime.worker.GroupProgram;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Times of programs, all devices at work, each running all of them again and again in orders of its
 * own, as in a model: no program runs twice in a row, on operands that a cache still holds, and
 * what runs beside it on another device is now this and now that.
 *
 * @param means seconds of a run by program, over all devices: the median, by as much longer as all
 *     runs together took longer than their medians. What others take of the machine, which the
 *     steps of a model cannot leave out, comes in bursts that hit a few runs: it is everybody's
 * @param pace how fast the devices went meanwhile
 */
record Passes(double[] means, Pace pace) {
  private static final int FEWEST = 5;
  private static final double MOMENT = 0.02;

  /** Single ops reduce nothing. */
  private static final Bytes NO_BUCKETS = Bytes.of(1);

  /** One run. */
  private record Run(int program, long begin, long end) {}

  /** Runs graphs for so many seconds, each at least five times on every device. */
  static Passes of(DeviceGroup group, List<Graph> graphs, double seconds) {
    var buffers = new ArrayList<DeviceBuffer>();
    var programs = new ArrayList<GroupProgram>();
    try {
      for (Graph graph : graphs) {
        programs.add(load(group, graph, buffers));
      }
      long zero = System.nanoTime();
      List<List<Run>> runs = group.onAll(device -> run(programs, device, seconds));
      return of(runs, graphs.size(), zero);
    } finally {
      programs.forEach(GroupProgram::close);
      buffers.forEach(DeviceBuffer::close);
    }
  }

  private static List<Run> run(List<GroupProgram> programs, int device, double seconds) {
    var order = new ArrayList<Integer>();
    for (int i = 0; i < programs.size(); i++) {
      programs.get(i).on(device).run();
      order.add(i);
    }
    var random = new Random(device);
    var runs = new ArrayList<Run>();
    long begin = System.nanoTime();
    long now = begin;
    for (int pass = 0; pass < FEWEST || now - begin < seconds * 1e9; pass++) {
      Collections.shuffle(order, random);
      for (int program : order) {
        long before = System.nanoTime();
        programs.get(program).on(device).run();
        now = System.nanoTime();
        runs.add(new Run(program, before, now));
      }
    }
    return runs;
  }

  private static Passes of(List<List<Run>> runs, int programs, long zero) {
    var taken = new ArrayList<List<Double>>();
    for (int i = 0; i < programs; i++) {
      taken.add(new ArrayList<>());
    }
    double all = 0;
    for (List<Run> device : runs) {
      for (Run run : device) {
        taken.get(run.program()).add((run.end() - run.begin()) * 1e-9);
        all += (run.end() - run.begin()) * 1e-9;
      }
    }
    double[] means = new double[programs];
    double undisturbed = 0;
    for (int i = 0; i < programs; i++) {
      List<Double> own = taken.get(i).stream().sorted().toList();
      means[i] = own.get(own.size() / 2);
      undisturbed += own.size() * means[i];
    }
    for (int i = 0; i < programs; i++) {
      means[i] *= all / undisturbed;
    }
    return new Passes(means, pace(runs, means));
  }

  /** What each device has done at every moment, in runs of mean times, by the time they took. */
  private static Pace pace(List<List<Run>> runs, double[] means) {
    long from = runs.stream().mapToLong(r -> r.getFirst().begin()).max().orElseThrow();
    long to = runs.stream().mapToLong(r -> r.getLast().end()).min().orElseThrow();
    int moments = Math.max(1, (int) ((to - from) * 1e-9 / MOMENT));
    double[][] speeds = new double[runs.size()][moments];
    for (int device = 0; device < speeds.length; device++) {
      double[] done = new double[moments];
      double[] taken = new double[moments];
      for (Run run : runs.get(device)) {
        double begin = (run.begin() - from) * 1e-9 / MOMENT;
        double end = (run.end() - from) * 1e-9 / MOMENT;
        double speed = means[run.program()] / (MOMENT * (end - begin));
        for (int i = (int) Math.max(0, begin); i < Math.min(moments, end); i++) {
          double part = Math.min(end, i + 1) - Math.max(begin, i);
          done[i] += part * speed;
          taken[i] += part;
        }
      }
      for (int i = 0; i < moments; i++) {
        speeds[device][i] = taken[i] > 0 ? done[i] / taken[i] : 1;
      }
    }
    // Runs that reach over the ends, and what passes between runs, leave it not quite at 1.
    double mean = Arrays.stream(speeds).flatMapToDouble(Arrays::stream).average().orElseThrow();
    for (double[] device : speeds) {
      for (int i = 0; i < moments; i++) {
        device[i] /= mean;
      }
    }
    return new Pace(MOMENT, speeds);
  }

  /** The graph in memory of its own. */
  static GroupProgram load(DeviceGroup group, Graph graph, List<DeviceBuffer> buffers) {
    List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
    List<Map<Integer, DeviceBuffer>> given = new ArrayList<>();
    for (int device = 0; device < group.size(); device++) {
      Map<Value, DeviceBuffer> inputs = new HashMap<>();
      for (Value value : graph.inputValues()) {
        DeviceBuffer input = allocate(group, device, value, buffers);
        Noise.fill(input);
        inputs.put(value, input);
      }
      bound.add(inputs);
      Map<Integer, DeviceBuffer> outputs = new HashMap<>();
      for (int i = 0; i < graph.outputs().size(); i++) {
        outputs.put(i, allocate(group, device, graph.outputs().get(i).value(), buffers));
      }
      given.add(outputs);
    }
    return group.load(graph, bound, given, NO_BUCKETS);
  }

  private static DeviceBuffer allocate(
      DeviceGroup group, int device, Value value, List<DeviceBuffer> buffers) {
    DeviceBuffer buffer = group.device(device).allocate(value.name(), value.type());
    buffers.add(buffer);
    return buffer;
  }
}
