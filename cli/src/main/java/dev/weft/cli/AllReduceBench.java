package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Noise;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.worker.DeviceGroup;
import dev.weft.runtime.worker.GroupProgram;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft bench allreduce}. */
@Command(
    name = "allreduce",
    mixinStandardHelpOptions = true,
    description =
        "Times the sum of a tensor over devices of this process, and the memory beside it.")
final class AllReduceBench implements Callable<Integer> {
  private static final int WARMUP = 5;
  private static final int ROUNDS = 15;

  @Option(
      names = "--devices",
      split = ",",
      defaultValue = "2,4",
      description = "how many devices; several numbers are measured in turn (default: 2,4)")
  List<Integer> devices;

  @Option(
      names = "--bytes",
      defaultValue = "64MiB",
      description = "bytes of each device's tensor (default: 64MiB)")
  String bytes;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  @Override
  public Integer call() {
    long elements = Bytes.parse(bytes).count() / Float.BYTES;
    if (elements < 1) {
      throw new UserException("--bytes must be at least 4, found " + bytes);
    }
    for (int count : devices) {
      if (count < 2) {
        throw new UserException("--devices needs at least 2 devices, found " + count);
      }
      measure(count, TensorType.of(DataType.F32, elements));
    }
    return 0;
  }

  private void measure(int count, TensorType type) {
    Mesh mesh = Mesh.parse("devices=" + count);
    int cores = Runtime.getRuntime().availableProcessors();
    Bytes budget = Bytes.of(Machine.memory().count() / count / 10 * 9);
    double[] copies = new double[ROUNDS];
    double[] seconds = new double[ROUNDS];
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, mesh, 1, budget)) {
      var builder = new Builder("allreduce");
      Value x = builder.input("x", type, Graph.Kind.DATA);
      builder.add(new AllReduce(mesh.axes(), Folding.SUM), List.of(x)).forEach(builder::output);
      List<DeviceBuffer> buffers = new ArrayList<>();
      List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
      for (int device = 0; device < count; device++) {
        DeviceBuffer buffer = group.device(device).allocate("x", type);
        Noise.fill(buffer);
        buffers.add(buffer);
        bound.add(Map.of(x, buffer));
      }
      try (GroupProgram program = group.load(builder.build(), bound);
          var copier = new Machine.Copier(cores, Bytes.of(type.bytes() * count))) {
        for (int round = -WARMUP; round < ROUNDS; round++) {
          double copied = copier.bytesPerSecond();
          long start = System.nanoTime();
          program.run();
          double taken = (System.nanoTime() - start) * 1e-9;
          if (round >= 0) {
            copies[round] = copied;
            seconds[round] = taken;
          }
        }
      } finally {
        buffers.forEach(DeviceBuffer::close);
      }
    }
    report(count, type.bytes(), median(copies), median(seconds));
  }

  private static double median(double[] numbers) {
    double[] sorted = numbers.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  private void report(int count, long size, double bandwidth, double seconds) {
    double least = 2.0 * count * size / bandwidth;
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("devices", count);
    result.put("bytes", size);
    result.put("memory_bytes_per_second", bandwidth);
    result.put("seconds", seconds);
    // The time in which every input is read once and every output written once.
    result.put("least_seconds", least);
    result.put("ratio", seconds / least);
    if (format == EvalCommand.Format.JSON) {
      System.out.println(result);
    } else {
      result
          .properties()
          .forEach(entry -> System.out.printf("%-24s %s%n", entry.getKey(), entry.getValue()));
    }
  }
}
