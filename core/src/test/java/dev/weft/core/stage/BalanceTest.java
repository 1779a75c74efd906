package dev.weft.core.stage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Add;
import dev.weft.core.op.Concat;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Slice;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.ToLongFunction;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** The cut that is found is the best of all cuts. */
class BalanceTest {
  /** Moving nothing is free; other nodes cost what their names say. */
  private record Costs(int seed, double price) implements CutCosts {
    @Override
    public double time(Node node) {
      boolean free =
          node.op() instanceof Slice
              || node.op() instanceof Concat
              || node.op() instanceof Constant
              || (node.op() instanceof Add && !node.output(0).dtype().isFloat());
      return free ? 0 : 1 + Math.floorMod(node.output(0).name().hashCode() * 31 + seed, 7);
    }

    @Override
    public double receiving(TensorType type) {
      return price * type.bytes();
    }

    @Override
    public long kept(Node node) {
      return node.output(0).type().bytes();
    }
  }

  private static Balance.Memory memory(long limit) {
    return new Balance.Memory() {
      @Override
      public long needed(int piece, Load load) {
        // Earlier pieces hold more micro-batches.
        return 3 * load.parameters() + (4 - piece) * (load.kept() + load.received());
      }

      @Override
      public long limit(int piece) {
        return limit;
      }
    };
  }

  private static void starts(int units, int pieces, List<Integer> known, List<List<Integer>> all) {
    if (known.size() == pieces) {
      all.add(List.copyOf(known));
      return;
    }
    for (int next = known.getLast() + 1; next < units; next++) {
      var longer = new ArrayList<>(known);
      longer.add(next);
      starts(units, pieces, longer, all);
    }
  }

  private static List<Balance.Cut> all(Loads loads, int pieces) {
    List<List<Integer>> starts = new ArrayList<>();
    starts(loads.units(), pieces, List.of(0), starts);
    return starts.stream()
        .map(
            list -> {
              var taken = new ArrayList<Load>();
              for (int i = 0; i < pieces; i++) {
                int end = i + 1 < pieces ? list.get(i + 1) : loads.units();
                taken.add(loads.of(list.get(i), end));
              }
              return new Balance.Cut(list, taken);
            })
        .toList();
  }

  @Property(tries = 100)
  void isTheBestOfAllCuts(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 6) int steps,
      @ForAll @IntRange(min = 1, max = 4) int pieces,
      @ForAll @IntRange(min = 0, max = 3) int price) {
    Traced model = LayeredModels.make(new Random(seed), steps);
    Cutting cutting = Cutting.of(model);
    int units = cutting.units().size();
    Assume.that(units >= pieces && units <= 16);
    var costs = new Costs((int) seed, price * 0.05);
    Balance.Cut found = Balance.of(cutting, costs).cut(pieces);
    compare(all(new Loads(cutting, costs), pieces), found);
    // What was promised of the pieces is what they are.
    List<Piece> cut = cutting.at(found.starts());
    for (int i = 0; i < pieces; i++) {
      Piece piece = cut.get(i);
      Load load = found.loads().get(i);
      long received = LayeredModels.bytes(piece.forward(), piece.received());
      double time = received * costs.price() + time(piece.forward(), costs);
      assertTrue(received <= load.received(), received + " " + load);
      assertTrue(time <= load.time() + 1e-9, time + " " + load);
    }
  }

  private static double time(Graph graph, CutCosts costs) {
    double time = 0;
    for (Node node : graph.nodes()) {
      time +=
          node.op() instanceof Repeat repeat
              ? repeat.count() * time(repeat.body(), costs)
              : costs.time(node);
    }
    return time;
  }

  private static void compare(List<Balance.Cut> cuts, Balance.Cut found) {
    double slowest =
        cuts.stream().mapToDouble(Balance.Cut::slowest).min().orElseThrow() * (1 + 1e-9);
    assertTrue(found.slowest() <= slowest, found.slowest() + " instead of " + slowest);
    long least =
        cuts.stream()
            .filter(c -> c.slowest() <= slowest)
            .mapToLong(Balance.Cut::received)
            .min()
            .orElseThrow();
    assertEquals(least, found.received());
  }

  @Property(tries = 100)
  void isTheBestOfTheCutsThatFit(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 6) int steps,
      @ForAll @IntRange(min = 1, max = 4) int pieces,
      @ForAll @IntRange(min = 100, max = 6000) int limit) {
    Cutting cutting = Cutting.of(LayeredModels.make(new Random(seed), steps));
    int units = cutting.units().size();
    Assume.that(units >= pieces && units <= 16);
    var costs = new Costs((int) seed, 0.1);
    Balance.Memory memory = memory(limit);
    ToLongFunction<Balance.Cut> excess =
        cut -> {
          long most = Long.MIN_VALUE;
          for (int i = 0; i < pieces; i++) {
            most = Math.max(most, memory.needed(i, cut.loads().get(i)) - limit);
          }
          return most;
        };
    List<Balance.Cut> cuts = all(new Loads(cutting, costs), pieces);
    List<Balance.Cut> fitting = cuts.stream().filter(c -> excess.applyAsLong(c) <= 0).toList();
    if (fitting.isEmpty()) {
      var mistake =
          assertThrows(UserException.class, () -> Balance.of(cutting, costs).cut(pieces, memory));
      long least = cuts.stream().mapToLong(excess).min().orElseThrow();
      String message = String.valueOf(mistake.getMessage());
      assertTrue(message.contains(", " + bytes(least) + " too little"), message);
    } else {
      Balance.Cut found = Balance.of(cutting, costs).cut(pieces, memory);
      assertTrue(excess.applyAsLong(found) <= 0);
      compare(fitting, found);
    }
  }

  private static String bytes(long count) {
    return dev.weft.core.cluster.Bytes.of(count).toString();
  }
}
