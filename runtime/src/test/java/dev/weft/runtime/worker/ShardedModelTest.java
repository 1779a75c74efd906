package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.collective.RingShift;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.overlap.Level;
import dev.weft.core.overlap.Rows;
import dev.weft.core.overlap.SubPipeline;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Literals;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.ShardedStep;
import dev.weft.nn.step.StepGraphs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A model's step on the devices of meshes against one device. */
final class ShardedModelTest {
  private static final ModelConfig CONFIG = new ModelConfig(2, 24, 4, 10, 31, 0);
  private static final long BATCH = 4;

  @ParameterizedTest
  @ValueSource(strings = {"data=2", "model=2", "data=2,model=2"})
  void lossAndGradientsAreThoseOfOneDevice(String mesh) {
    var optimizer = new Optimizer.AdamW(0.9, 0.999, 1e-8, 0);
    Graph graph = StepGraphs.of(new Gpt(), CONFIG, BATCH, DataType.F32, optimizer, 0).micro();
    List<Literal> inputs = inputs(graph);
    List<Literal> expected = run(Mesh.SINGLE, graph, inputs);
    List<Literal> found = run(Mesh.parse(mesh), graph, inputs);
    List<Literal> again = run(Mesh.parse(mesh), graph, inputs);
    assertEquals(found, again);
    for (int output = 0; output < expected.size(); output++) {
      assertClose(graph.outputValues().get(output), expected.get(output), found.get(output), 1e-4);
    }
  }

  private static void assertClose(Value value, Literal wanted, Literal found, double most) {
    double norm = 0;
    double error = 0;
    for (int i = 0; i < wanted.elements(); i++) {
      norm += wanted.asDouble(i) * wanted.asDouble(i);
      error += Math.pow(wanted.asDouble(i) - found.asDouble(i), 2);
    }
    double off = Math.sqrt(error) / Math.max(1e-3, Math.sqrt(norm));
    assertTrue(off < most, () -> value + " is off by " + off);
  }

  /** Rows in halves, of which the first may have one more, give what rows in one give. */
  @ParameterizedTest(name = "level {0} on {1}, {2} rows")
  @CsvSource({
    "1, model=2, 4",
    "2, model=2, 4",
    "3, model=2, 4",
    "3, model=2, 3",
    "2, 'data=2,model=2', 6"
  })
  void halvesAreTheWhole(int number, String axes, long rows) {
    var config = new ModelConfig(2, 24, 4, 10, 31, 0.1);
    var optimizer = new Optimizer.AdamW(0.9, 0.999, 1e-8, 0);
    Graph graph = StepGraphs.of(new Gpt(), config, rows, DataType.F32, optimizer, 0).micro();
    Mesh mesh = Mesh.parse(axes);
    List<Literal> inputs = inputs(graph);
    Partitioned whole = Partitioner.partition(graph, mesh);
    Partitioned halves = SubPipeline.apply(whole, Level.values()[number], Rows.of(graph));
    assertTrue(halves.collectives().size() > whole.collectives().size());
    List<Literal> expected = run(mesh, graph, whole, inputs);
    List<Literal> found = run(mesh, graph, halves, inputs);
    for (int output = 0; output < expected.size(); output++) {
      assertClose(graph.outputValues().get(output), expected.get(output), found.get(output), 1e-5);
    }
  }

  /** Products beside which collectives are looped give what they give in one. */
  @ParameterizedTest(name = "{0}, ZeRO {1}")
  @CsvSource({"model=2, 0", "model=3, 0", "'data=2,model=2', 0", "data=2, 3", "data=4, 3"})
  void loopsAreTheWhole(String axes, int zero) {
    var optimizer = new Optimizer.AdamW(0.9, 0.999, 1e-8, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), CONFIG, BATCH, DataType.F32, optimizer, 0);
    Mesh mesh = Mesh.parse(axes);
    ShardedStep step = ShardedStep.of(graphs, mesh, zero, 1);
    Partitioned whole = step.passes().getFirst().half().partitioned();
    Partitioned looped = step.looped().passes().getFirst().half().partitioned();
    assertTrue(looped.collectives().stream().anyMatch(use -> use.op() instanceof RingShift));
    Graph graph = graphs.micro();
    List<Literal> inputs = inputs(graph);
    List<Literal> expected = run(mesh, graph, whole, inputs);
    List<Literal> found = run(mesh, graph, looped, inputs);
    assertEquals(found, run(mesh, graph, looped, inputs));
    for (int output = 0; output < expected.size(); output++) {
      assertClose(graph.outputValues().get(output), expected.get(output), found.get(output), 1e-5);
    }
  }

  private static List<Literal> inputs(Graph graph) {
    var random = new Random(3);
    List<Literal> inputs = new ArrayList<>();
    for (Graph.Input input : graph.inputs()) {
      TensorType type = input.value().type();
      int n = Math.toIntExact(type.elements());
      inputs.add(
          type.dtype().isFloat()
              ? Literal.of(type, random.doubles(n, -0.3, 0.3).toArray())
              : Literal.of(
                  type,
                  input.kind() == Graph.Kind.FACT
                      ? new long[n]
                      : random.longs(n, 0, CONFIG.vocabulary()).toArray()));
    }
    return inputs;
  }

  private static List<Literal> run(Mesh mesh, Graph graph, List<Literal> inputs) {
    return run(mesh, graph, Partitioner.partition(graph, mesh), inputs);
  }

  private static List<Literal> run(
      Mesh mesh, Graph graph, Partitioned local, List<Literal> inputs) {
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, mesh, 1, Bytes.of(1L << 28))) {
      return OnDevices.run(group, graph, local, inputs);
    }
  }

  /** Parts are those that the interpreter of all devices gives; together they are the whole. */
  @Property(tries = 40)
  void partsMakeUpTheWhole(@ForAll long seed) {
    var random = new Random(seed);
    Mesh mesh = Mesh.parse("a=2,b=2");
    TensorType type = TensorType.of(DataType.F32, 1 + random.nextInt(6), 1 + random.nextInt(6), 2);
    String[] specs = {
      "[{a},{b},{}]", "[{},{b,a},{}]", "[{},{},{a}]", "[{},{},{}]", "[{a,b},{},{}]"
    };
    Layout layout = Layout.of(Spec.parse(specs[random.nextInt(specs.length)]), mesh);
    Literal whole =
        Literal.of(type, random.doubles(type.elements(), -1, 1).map(d -> (float) d).toArray());
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, mesh, 1, Bytes.of(1L << 20));
        ShardedBuffer buffer = ShardedBuffer.allocate(group, "x", type, layout)) {
      MemorySegment bytes = Arena.ofAuto().allocate(type.bytes(), 8);
      Literals.write(whole, bytes);
      buffer.write(bytes);
      List<Literal> tiles = LockStep.scatter(whole, layout, mesh);
      for (int device = 0; device < mesh.size(); device++) {
        DeviceBuffer part = buffer.on(device);
        Literal held = Literals.read(part.type(), part.segment());
        for (int i = 0; i < held.elements(); i++) {
          double wanted = tiles.get(device).asDouble(i);
          assertTrue(Double.isNaN(wanted) || wanted == held.asDouble(i));
        }
      }
      MemorySegment back = Arena.ofAuto().allocate(type.bytes(), 8);
      buffer.read(back);
      assertEquals(whole, Literals.read(type, back));
    }
  }
}
