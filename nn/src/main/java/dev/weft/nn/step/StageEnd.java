package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.core.stage.Partitions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;

/** Writes what one stage does once per step: runs graphs, sends and receives by name. */
final class StageEnd {
  private final Mesh mesh;
  private final Partitions partitions;
  private final StageBuilder builder;
  private final int kept;
  private final int facts;
  private final int passing;
  private boolean fed;

  StageEnd(int stage, Partitions partitions) {
    this.partitions = partitions;
    this.mesh = partitions.mesh();
    this.builder = new StageBuilder(stage, mesh);
    this.kept = builder.pool(new Pool("kept", 1, true));
    this.facts = builder.pool(new Pool("facts", 1, false));
    this.passing = builder.pool(new Pool("passing", 1, false));
  }

  StageProgram build() {
    return builder.build();
  }

  /** The type of a buffer. */
  TensorType type(String name) {
    return builder.buffer(number(name)).type();
  }

  private int number(String name) {
    return builder.find(name).orElseThrow();
  }

  /**
   * Runs a graph. Its inputs of the kinds PARAMETER, STATE and ACCUMULATOR are kept under their
   * names, facts are fed.
   *
   * @param given how inputs lie, by name; those that are missing are whole
   * @param results the names of the outputs, in order, and how they shall lie
   * @param isKept of results, whether they outlive the program
   */
  void run(
      Graph graph,
      Map<String, Layout> given,
      Map<String, Layout> results,
      Predicate<String> isKept) {
    Graph local = graph;
    List<String> names = List.copyOf(results.keySet());
    if (mesh.size() > 1) {
      Map<Value, Layout> inputs = new HashMap<>();
      for (Value input : graph.inputValues()) {
        inputs.put(input, layout(given, input));
      }
      Map<Integer, Layout> outputs = new HashMap<>();
      for (int i = 0; i < names.size(); i++) {
        outputs.put(i, results.get(names.get(i)));
      }
      Partitioned partitioned =
          partitions.of(graph, new Partitioner.Given(Map.of(), inputs, outputs, Set.of()));
      local = partitioned.graph();
    }
    var read = new ArrayList<Integer>();
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      int pool =
          switch (input.kind()) {
            case PARAMETER, STATE, ACCUMULATOR -> kept;
            case FACT -> facts;
            case DATA -> passing;
          };
      read.add(buffer(value.name(), value.type(), layout(given, value), input.kind(), pool));
    }
    if (!fed && graph.inputs().stream().anyMatch(i -> i.kind() == Graph.Kind.FACT)) {
      builder.feed(facts, 0, Step.ONCE);
      fed = true;
    }
    var written = new ArrayList<Integer>();
    for (int i = 0; i < names.size(); i++) {
      Value value = graph.outputs().get(i).value();
      String name = names.get(i);
      int pool = isKept.test(name) ? kept : passing;
      written.add(
          buffer(
              name,
              value.type(),
              Objects.requireNonNull(results.get(name)),
              Graph.Kind.STATE,
              pool));
    }
    int fragment = builder.fragment(new Fragment(graph.name(), Work.STEP, 0, local, read, written));
    builder.run(fragment, Step.ONCE);
  }

  private static Layout layout(Map<String, Layout> given, Value value) {
    return given.getOrDefault(value.name(), Layout.whole(value.type().rank()));
  }

  private int buffer(String name, TensorType type, Layout layout, Graph.Kind kind, int pool) {
    return builder
        .find(name)
        .orElseGet(
            () ->
                builder.buffer(
                    new Buffer(name, type, layout, type.tile(layout, mesh), kind, pool)));
  }

  void send(String name, int to) {
    builder.send(number(name), 0, to, Step.ONCE);
  }

  /** Receives into memory of this program. */
  void receive(String name, TensorType type, Layout layout, int from) {
    int buffer = buffer(name, type, layout, Graph.Kind.STATE, passing);
    builder.receive(buffer, 0, from, Step.ONCE);
  }

  /** Receives into what is kept under the name. */
  void receiveKept(String name, TensorType type, Layout layout, int from) {
    int buffer = buffer(name, type, layout, Graph.Kind.STATE, kept);
    builder.receive(buffer, 0, from, Step.ONCE);
  }
}
