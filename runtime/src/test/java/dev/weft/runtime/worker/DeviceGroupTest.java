package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Spec;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.AllToAll;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.HaloExchange;
import dev.weft.core.collective.HaloRange;
import dev.weft.core.collective.Permute;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Tensor;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.program.Literals;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.runtime.collective.CollectiveCounters;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Devices of this process against the interpreter of all devices. */
final class DeviceGroupTest {
  private static final int RANDOM_PROGRAMS = 120;

  private static final Map<String, DeviceGroup> GROUPS = new HashMap<>();
  private static long handlesBefore;
  private static int slabsBefore;

  @BeforeAll
  static void open() {
    handlesBefore = TensorHandle.live();
    slabsBefore = Slab.live();
    for (String mesh : List.of("a=2", "a=4", "a=2,b=2")) {
      GROUPS.put(
          mesh,
          DeviceGroup.open(
              DeviceKind.CPU,
              Mesh.parse(mesh),
              1,
              Bytes.of(1L << 30),
              Routes.always(Route.DIRECT),
              Duration.ofSeconds(10)));
    }
  }

  @AfterAll
  static void nothingLeaks() {
    GROUPS.values().forEach(DeviceGroup::close);
    assertEquals(handlesBefore, TensorHandle.live());
    assertEquals(slabsBefore, Slab.live());
    for (DeviceGroup group : GROUPS.values()) {
      for (int device = 0; device < group.size(); device++) {
        assertEquals(0, group.device(device).memory().current().count());
      }
    }
  }

  @TestFactory
  Stream<DynamicTest> randomProgramsEqualTheInterpreter() {
    return new Random(4)
        .longs(RANDOM_PROGRAMS)
        .boxed()
        .flatMap(
            seed ->
                GROUPS.values().stream()
                    .map(
                        group ->
                            DynamicTest.dynamicTest(
                                group.mesh() + " seed " + seed,
                                () ->
                                    compare(
                                        group, RandomPrograms.make(group.mesh(), seed), seed))));
  }

  /** Tensors so large that many threads take part in one collective. */
  @TestFactory
  Stream<DynamicTest> largeTensorsToo() {
    DeviceGroup group = group("a=2,b=2");
    List<MeshAxis> all = group.mesh().axes();
    List<MeshAxis> b = group.mesh().select(List.of("b"));
    TensorType type = TensorType.of(DataType.F32, 301, 7, 120);
    var range = new HaloRange(239, 120, 5, 2, 3, 1);
    return Stream.<Collective>of(
            new AllReduce(all, Folding.SUM),
            new ReduceScatter(b, 0, Folding.SUM),
            new ReduceScatter(all, 2, Folding.MAX),
            new AllGather(b, 0, 601),
            new AllGather(b, 2, 239),
            new AllToAll(b, 2, 0, 602),
            new AllToAll(all, 1, 2, 477),
            new Permute(
                all, Shape.of(602, 7, 239), Spec.parse("[{a},{},{b}]"), Spec.parse("[{},{b},{a}]")),
            HaloExchange.of(b, 2, range, -1))
        .map(
            op ->
                DynamicTest.dynamicTest(
                    op.toString(),
                    () -> {
                      var builder = new Builder("large");
                      Value x = builder.input("x", type, Graph.Kind.DATA);
                      builder.output(Tensor.one(op, new Tensor(builder, x)).value());
                      compare(group, builder.build(), 1);
                    }));
  }

  private static DeviceGroup group(String mesh) {
    return java.util.Objects.requireNonNull(GROUPS.get(mesh));
  }

  private static void compare(DeviceGroup group, Graph graph, long seed) {
    var random = new Random(seed);
    List<List<Literal>> inputs = new ArrayList<>();
    List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
    for (int device = 0; device < group.size(); device++) {
      List<Literal> own = new ArrayList<>();
      Map<Value, DeviceBuffer> buffers = new HashMap<>();
      for (Value input : graph.inputValues()) {
        own.add(numbers(input.type(), random));
        buffers.put(input, group.device(device).allocate(input.name(), input.type()));
      }
      inputs.add(own);
      bound.add(buffers);
    }
    List<List<Literal>> expected = LockStep.run(graph, group.mesh(), inputs);
    CollectiveCounters before = group.counters(0);
    try (GroupProgram program = group.load(graph, bound);
        GroupProgram buckets =
            group.load(
                graph,
                bound,
                Collections.nCopies(group.size(), Map.of()),
                Bytes.of(1 + random.nextInt(400)))) {
      List<List<Literal>> first = run(group, program, graph, inputs, bound, random);
      check(expected, first);
      List<List<Literal>> second = run(group, program, graph, inputs, bound, random);
      List<List<Literal>> third = run(group, buckets, graph, inputs, bound, random);
      for (int device = 0; device < group.size(); device++) {
        for (int i = 0; i < graph.outputs().size(); i++) {
          same(expected.get(device).get(i), first.get(device).get(i), second.get(device).get(i));
          same(expected.get(device).get(i), first.get(device).get(i), third.get(device).get(i));
        }
      }
    } finally {
      bound.forEach(buffers -> buffers.values().forEach(DeviceBuffer::close));
    }
    CollectiveCounters counted = group.counters(0).minus(before);
    assertTrue(counted.underWayNanos() >= counted.runningNanos());
  }

  /** Runs with every device starting at another time. */
  private static List<List<Literal>> run(
      DeviceGroup group,
      GroupProgram program,
      Graph graph,
      List<List<Literal>> inputs,
      List<Map<Value, DeviceBuffer>> bound,
      Random random) {
    for (int device = 0; device < group.size(); device++) {
      for (int i = 0; i < graph.inputs().size(); i++) {
        Value input = graph.inputValues().get(i);
        Literals.write(
            inputs.get(device).get(i),
            java.util.Objects.requireNonNull(bound.get(device).get(input)).segment());
      }
    }
    long[] delays = random.longs(group.size(), 0, 300_000).toArray();
    group.onAll(
        device -> {
          LockSupport.parkNanos(delays[device]);
          program.on(device).run();
          return device;
        });
    List<List<Literal>> outputs = new ArrayList<>();
    for (int device = 0; device < group.size(); device++) {
      List<Literal> own = new ArrayList<>();
      for (int i = 0; i < graph.outputs().size(); i++) {
        DeviceBuffer output = program.output(device, i);
        own.add(Literals.read(output.type(), output.segment()));
      }
      outputs.add(own);
    }
    return outputs;
  }

  private static Literal numbers(TensorType type, Random random) {
    int n = Math.toIntExact(type.elements());
    return type.dtype().isFloat()
        ? Literal.of(type, random.doubles(n, -1, 1).map(d -> (float) d).toArray())
        : Literal.of(type, random.longs(n, -50, 50).toArray());
  }

  private static void check(List<List<Literal>> expected, List<List<Literal>> found) {
    for (int device = 0; device < expected.size(); device++) {
      for (int output = 0; output < expected.get(device).size(); output++) {
        Literal wanted = expected.get(device).get(output);
        Literal is = found.get(device).get(output);
        for (int i = 0; i < wanted.elements(); i++) {
          double number = wanted.asDouble(i);
          double error = Math.abs(number - is.asDouble(i));
          if (!Double.isNaN(number) && !(error <= 2e-5 * (1 + Math.abs(number)))) {
            fail(
                "device %d output %d element %d of %s: expected %s, found %s"
                    .formatted(device, output, i, wanted.type(), number, is.asDouble(i)));
          }
        }
      }
    }
  }

  /** Bit for bit, where the numbers have a meaning. */
  private static void same(Literal expected, Literal first, Literal second) {
    for (int i = 0; i < expected.elements(); i++) {
      if (!Double.isNaN(expected.asDouble(i))) {
        assertEquals(
            Double.doubleToRawLongBits(first.asDouble(i)),
            Double.doubleToRawLongBits(second.asDouble(i)));
      }
    }
  }
}
