package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Factors.Mark;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import dev.weft.core.graph.Windowed.Link;
import dev.weft.core.graph.Windowed.Place;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.Pad;
import dev.weft.core.op.Slice;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.TestFactory;

/**
 * What an op says of its windows is true: parts of its steps with their halos make up the whole.
 */
class WindowedTest {
  @TestFactory
  Stream<DynamicNode> everyHaloHasALink() {
    return Cases.examples(
        example -> {
          Factors factors = example.op().factors(example.types());
          Set<String> halos = new TreeSet<>();
          factors.marks().forEach((factor, mark) -> addIf(mark == Mark.HALO, halos, factor));
          Set<String> linked = new TreeSet<>();
          if (example.op() instanceof Windowed op) {
            List<TensorType> outputs = op.infer(example.types());
            for (Link link : op.links(example.types())) {
              linked.add(link.factor());
              link.bases().forEach(p -> checkPlace(factors.inputs(), p, link.factor()));
              link.steps().forEach(p -> checkPlace(factors.inputs(), p, link.factor()));
              link.results().forEach(p -> checkPlace(factors.outputs(), p, link.factor()));
              checkSizes(link, example.types(), outputs);
            }
          }
          assertEquals(halos, linked);
        });
  }

  private static void addIf(boolean condition, Set<String> set, String element) {
    if (condition) {
      set.add(element);
    }
  }

  private static void checkPlace(List<List<List<String>>> side, Place place, String factor) {
    assertEquals(List.of(factor), side.get(place.tensor()).get(place.dim()));
  }

  private static void checkSizes(Link link, List<TensorType> inputs, List<TensorType> outputs) {
    long steps = link.window().steps(base(link, inputs));
    for (Place place : link.steps()) {
      assertEquals(steps, inputs.get(place.tensor()).size(place.dim()), link.toString());
    }
    for (Place place : link.results()) {
      assertEquals(steps, outputs.get(place.tensor()).size(place.dim()), link.toString());
    }
  }

  private static long base(Link link, List<TensorType> inputs) {
    Place place = link.bases().getFirst();
    return inputs.get(place.tensor()).size(place.dim());
  }

  @TestFactory
  Stream<DynamicNode> partsAndTheirHalosMakeUpTheWhole() {
    return Cases.examples(
        example -> {
          if (example.op() instanceof Windowed op) {
            for (Link link : op.links(example.types())) {
              for (long parts = 2; parts <= 3; parts++) {
                split(example, op, link, parts, false);
                split(example, op, link, parts, true);
              }
            }
          }
        });
  }

  /**
   * Runs the parts of a link.
   *
   * @param exact whether halos are padded up to the elements that the steps touch; else what lies
   *     beyond the dim is left to the window's own padding
   */
  private static void split(Example example, Windowed op, Link link, long parts, boolean exact) {
    List<Literal> arguments = ExampleData.arguments(example, 11);
    List<Literal> whole = Cases.run(op, arguments);
    long base = base(link, example.types());
    long steps = link.window().steps(base);
    long tile = Math.ceilDiv(steps, parts);
    var made = new ArrayList<List<Literal>>();
    for (long from = 0; from < steps; from += tile) {
      long to = Math.min(steps, from + tile);
      long start = link.window().start(from);
      long limit = Math.max(start, link.window().limit(to - 1));
      if (!exact) {
        start = Math.clamp(start, 0L, base);
        limit = Math.clamp(limit, start, base);
      }
      var inputs = new ArrayList<Literal>(arguments);
      for (Place place : link.bases()) {
        Literal input = inputs.get(place.tensor());
        double outside = op.outside(place.tensor());
        inputs.set(place.tensor(), cut(input, place.dim(), start, limit, outside));
      }
      for (Place place : link.steps()) {
        Literal input = inputs.get(place.tensor());
        inputs.set(place.tensor(), cut(input, place.dim(), from, to, 0));
      }
      Window window = link.window().part(from, to - from, start, limit - start);
      Op local = op.withWindows(Cases.types(inputs), Map.of(link.factor(), window));
      made.add(Cases.run(local, inputs));
    }
    for (int i = 0; i < whole.size(); i++) {
      int output = i;
      Literal together = null;
      long from = 0;
      for (List<Literal> part : made) {
        Literal moved = part.get(i);
        for (Place place : link.results()) {
          if (place.tensor() == i) {
            long size = moved.type().size(place.dim());
            moved = cut(moved, place.dim(), -from, steps - from, 0);
            from += size;
          }
        }
        together = together == null ? moved : Parts.fold(together, moved, Double::sum);
      }
      assertTrue(together != null);
      assertEquals(whole.get(i).type(), together.type(), link.toString());
      for (int element = 0; element < together.elements(); element++) {
        double expected = whole.get(i).asDouble(element);
        if (expected != together.asDouble(element)) {
          assertEquals(
              expected,
              together.asDouble(element),
              1e-9 * (1 + Math.abs(expected)),
              () -> "output " + output + " of " + made.size() + " parts along " + link);
        }
      }
    }
  }

  /** The indices from one to another of a dim; what lies beyond its ends is the given number. */
  private static Literal cut(Literal x, int dim, long from, long to, double outside) {
    int rank = x.type().rank();
    var low = new ArrayList<>(Collections.nCopies(rank, 0L));
    var high = new ArrayList<>(Collections.nCopies(rank, 0L));
    long size = x.type().size(dim);
    if (to <= 0 || from >= size || to <= from) {
      return Literal.filled(x.type().with(x.shape().with(dim, Math.max(0, to - from))), outside);
    }
    low.set(dim, Math.max(0, -from));
    high.set(dim, Math.max(0, to - size));
    var starts = new ArrayList<>(Collections.nCopies(rank, 0L));
    var limits = new ArrayList<Long>();
    for (long length : x.shape().sizes()) {
      limits.add(length);
    }
    starts.set(dim, Math.max(0, from));
    limits.set(dim, Math.min(size, to));
    List<Long> ones = Collections.nCopies(rank, 1L);
    List<Long> zeros = Collections.nCopies(rank, 0L);
    Literal inner = Cases.run(new Slice(starts, limits, ones), List.of(x)).getFirst();
    return Cases.run(new Pad(low, high, zeros, outside), List.of(inner)).getFirst();
  }
}
