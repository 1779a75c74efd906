package dev.weft.core.stage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Concat;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class KeepingTest {
  /** Costs that have nothing to do with sizes. */
  private static final ToDoubleFunction<Node> COST =
      node -> 1 + Math.floorMod(node.output(0).name().hashCode() * 31L, 97);

  private record Case(Graph graph, Set<Value> given, Set<Value> wanted) {
    static Case random(long seed, Random random) {
      Graph graph = RandomModels.trace(seed).graph();
      Set<Value> wanted = new LinkedHashSet<>();
      for (Node node : graph.nodes()) {
        node.outputs().stream().filter(_ -> random.nextInt(3) == 0).forEach(wanted::add);
      }
      return new Case(graph, new HashSet<>(graph.inputValues()), wanted);
    }

    /** A dozen nodes at most, those of rounds included, of tensors of many sizes. */
    static Case small(Random random) {
      var builder = new Builder("small");
      var values = new ArrayList<Tensor>();
      var type = TensorType.of(DataType.F64, 4);
      values.add(new Tensor(builder, builder.input("x", type, Graph.Kind.DATA)));
      int nodes = 4 + random.nextInt(9);
      while (size(builder.nodes()) < nodes - 1) {
        Tensor x = values.get(values.size() - 1 - random.nextInt(Math.min(values.size(), 3)));
        Tensor y = values.get(random.nextInt(values.size()));
        values.add(
            switch (random.nextInt(6)) {
              case 0 -> Tensor.one(new Concat(0), x, y);
              case 1 -> x.slice(0, 0, Math.min(x.size(0), y.size(0))).sin();
              case 2 -> x.size(0) == y.size(0) ? x.times(y) : x.sin();
              case 3 -> size(builder.nodes()) + 4 <= nodes ? rounds(builder, x) : x.exp();
              default -> x.tanh();
            });
      }
      Graph graph = builder.build();
      Set<Value> wanted = new LinkedHashSet<>();
      for (Node node : graph.nodes()) {
        node.outputs().stream().filter(_ -> random.nextInt(2) == 0).forEach(wanted::add);
      }
      return new Case(graph, new HashSet<>(graph.inputValues()), wanted);
    }

    private static Tensor rounds(Builder builder, Tensor x) {
      Builder body = builder.nested("body");
      body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
      Tensor h = new Tensor(body, body.input("h", x.type(), Graph.Kind.DATA));
      Tensor inner = h.sin();
      body.output(inner.exp().tanh().value());
      body.output(inner.value());
      return Tensor.apply(new Repeat(body.build(), 3, 1, 0, false), List.of(x)).getFirst();
    }

    Dependencies dependencies() {
      return new Dependencies(graph.nodes(), given, wanted, COST);
    }
  }

  private static int size(List<Node> nodes) {
    int size = 0;
    for (Node node : nodes) {
      size += node.op() instanceof Repeat repeat ? size(repeat.body().nodes()) : 1;
    }
    return size;
  }

  private static double cost(List<Node> nodes) {
    double sum = 0;
    for (Node node : nodes) {
      sum +=
          node.op() instanceof Repeat repeat
              ? repeat.count() * cost(repeat.body().nodes())
              : COST.applyAsDouble(node);
    }
    return sum;
  }

  private static long bytes(Dependencies dependencies, boolean[] kept) {
    return Keeping.chosen(dependencies, kept).stream().mapToLong(c -> c.bytes()).sum();
  }

  /** Twelve nodes at most, and what they need tried in all combinations. */
  @Property(tries = 80)
  void smallGraphsAreKeptBest(@ForAll long seed) {
    var random = new Random(seed);
    Case example = Case.small(random);
    Dependencies dependencies = example.dependencies();
    int count = dependencies.candidates().size();
    assertTrue(size(example.graph().nodes()) <= 12);
    Assume.that(count <= 16);
    boolean[] all = new boolean[count];
    java.util.Arrays.fill(all, true);
    long budget = (long) (random.nextDouble() * bytes(dependencies, all));
    boolean[] chosen = Keeping.choose(dependencies, budget);
    double best = dependencies.cost(Keeping.exhaustive(dependencies, budget));
    assertTrue(bytes(dependencies, chosen) <= budget);
    assertTrue(dependencies.cost(chosen) <= best * 1.05);
    // What is used for larger graphs need not be best, but keeps within the budget.
    boolean[] found = Keeping.search(dependencies, budget);
    assertTrue(bytes(dependencies, found) <= budget);
    assertTrue(dependencies.cost(found) >= best);
  }

  /** Memory is not exceeded, never costs time, and all of it leaves nothing to do. */
  @Property(tries = 60)
  void memoryTakesTimeAway(@ForAll long seed) {
    var random = new Random(seed);
    Dependencies dependencies = Case.random(seed, random).dependencies();
    boolean[] all = dependencies.keptAt(0);
    double most = dependencies.cost(new boolean[all.length]);
    assertEquals(0, dependencies.cost(all));
    for (int share = 0; share <= 4; share++) {
      long budget = bytes(dependencies, all) * share / 4;
      boolean[] kept = Keeping.search(dependencies, budget);
      assertTrue(bytes(dependencies, kept) <= budget);
      assertTrue(dependencies.cost(kept) <= most);
      assertTrue(share < 4 || dependencies.cost(kept) == 0);
    }
  }

  /** The cost that choices are made by is that of the nodes which are taken out. */
  @Property(tries = 150)
  void costsAreThoseOfWhatRuns(@ForAll long seed) {
    var random = new Random(seed);
    Case example = Case.random(seed, random);
    Dependencies dependencies = example.dependencies();
    boolean[] kept = new boolean[dependencies.candidates().size()];
    Set<Value> available = new HashSet<>(example.given());
    for (int i = 0; i < kept.length; i++) {
      Dependencies.Candidate candidate = dependencies.candidates().get(i);
      if (candidate.repeat() == null && random.nextInt(3) == 0) {
        kept[i] = true;
        available.add(candidate.value());
      }
    }
    var wanted = new ArrayList<>(example.wanted());
    List<Node> nodes = Slicing.nodes(example.graph().nodes(), wanted, available);
    assertEquals(cost(nodes), dependencies.cost(kept));
  }
}
