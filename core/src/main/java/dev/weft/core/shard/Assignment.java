package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One way to share a node's work among devices: which axes split which factor, and over which axes
 * a group of inputs stays partial.
 *
 * @param split axes by factor, outermost first
 * @param linear by axis the inputs that are partial sums over it; the op is linear in them together
 */
record Assignment(Map<String, List<String>> split, Map<String, List<Integer>> linear) {
  /** No axis is used. */
  static final Assignment NONE = new Assignment(Map.of(), Map.of());

  Assignment {
    split = Map.copyOf(split);
    linear = Map.copyOf(linear);
  }

  /** The layouts that the inputs must have. */
  List<Layout> inputs(Dimensions known) {
    var layouts = new ArrayList<Layout>();
    Node node = known.node();
    for (int i = 0; i < node.inputs().size(); i++) {
      Map<String, Folding> partial = new HashMap<>();
      int input = i;
      linear.forEach(
          (axis, inputs) -> {
            if (inputs.contains(input)) {
              partial.put(axis, Folding.SUM);
            }
          });
      split.forEach(
          (factor, axes) -> {
            if (known.isAddedTo(factor, input)) {
              axes.forEach(axis -> partial.put(axis, Folding.SUM));
            }
          });
      layouts.add(new Layout(dims(known, false, i, node.input(i).type().rank()), partial));
    }
    return layouts;
  }

  /** The layouts that the outputs then have. */
  List<Layout> outputs(Dimensions known) {
    var layouts = new ArrayList<Layout>();
    Node node = known.node();
    for (int i = 0; i < node.outputs().size(); i++) {
      Map<String, Folding> partial = new HashMap<>();
      for (Map.Entry<String, List<String>> entry : split.entrySet()) {
        String factor = entry.getKey();
        if (known.isOwn(factor)) {
          Optional<Folding> outstanding = SplitOps.outstanding(known, factor, i);
          outstanding.ifPresent(f -> entry.getValue().forEach(axis -> partial.put(axis, f)));
        } else if (!known.hasOutput(factor, i) && known.hasInput(factor)) {
          for (String axis : entry.getValue()) {
            partial.put(axis, folding(known.mark(factor)));
          }
        }
      }
      linear.keySet().forEach(axis -> partial.put(axis, Folding.SUM));
      layouts.add(new Layout(dims(known, true, i, node.output(i).type().rank()), partial));
    }
    return layouts;
  }

  private static Folding folding(Factors.@Nullable Mark mark) {
    return mark == Factors.Mark.MAX
        ? Folding.MAX
        : mark == Factors.Mark.MIN ? Folding.MIN : Folding.SUM;
  }

  private List<List<String>> dims(Dimensions known, boolean output, int tensor, int rank) {
    var dims = new ArrayList<List<String>>();
    for (int dim = 0; dim < rank; dim++) {
      Optional<String> factor = known.outermost(output, tensor, dim);
      dims.add(factor.map(f -> split.getOrDefault(f, List.of())).orElse(List.of()));
    }
    return dims;
  }

  /** Whether every split factor can be split so: outermost wherever it stands, in even groups. */
  boolean fits(Dimensions known, Mesh mesh) {
    for (Map.Entry<String, List<String>> entry : split.entrySet()) {
      String factor = entry.getKey();
      if (known.isGrouped(factor) && known.size(factor) % mesh.size(entry.getValue()) != 0) {
        return false;
      }
      if (!outermostEverywhere(known, factor)) {
        return false;
      }
    }
    // Sums of maxima are not maxima of sums: one kind of folding at a time.
    return outputs(known).stream()
        .allMatch(layout -> Set.copyOf(layout.partial().values()).size() <= 1);
  }

  private static boolean outermostEverywhere(Dimensions known, String factor) {
    return outermost(known, factor, false, known.factors().inputs())
        && outermost(known, factor, true, known.factors().outputs());
  }

  private static boolean outermost(
      Dimensions known, String factor, boolean output, List<List<List<String>>> tensors) {
    for (int tensor = 0; tensor < tensors.size(); tensor++) {
      for (int dim = 0; dim < tensors.get(tensor).size(); dim++) {
        if (tensors.get(tensor).get(dim).contains(factor)
            && !known.outermost(output, tensor, dim).equals(Optional.of(factor))) {
          return false;
        }
      }
    }
    return true;
  }

  /** How many devices share the work. */
  int degree(Mesh mesh) {
    int degree = 1;
    for (List<String> axes : split.values()) {
      degree *= mesh.size(axes);
    }
    return degree;
  }
}
