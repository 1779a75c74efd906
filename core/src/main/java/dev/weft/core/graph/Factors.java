package dev.weft.core.graph;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * How the dims of an op's inputs and outputs correspond: every dim is a product of named factors,
 * outermost first. A factor of inputs that no output has is reduced.
 *
 * <p>Text: {@code "b s h, h k -> b s k"}; {@code "(b s) h -> b s h"}. A dim of no factor is {@code
 * ()}. Marks stand behind a factor's name: {@code h!} must stay whole, {@code h~} needs its
 * neighbours' rows (a halo), {@code h^max} reduces by maximum instead of a sum, {@code h^scan} and
 * {@code h^top} run or choose along it.
 *
 * @param inputs per input, per dim, the factors of that dim
 * @param outputs likewise
 * @param marks the marked factors
 */
public record Factors(
    List<List<List<String>>> inputs, List<List<List<String>>> outputs, Map<String, Mark> marks) {
  /**
   * What a factor demands when it is split. {@code HALO}: the op is {@link Windowed}, and the dims
   * of the factor may differ in size. {@code SCAN}: results run along the dim, so that a part needs
   * the totals of the parts before it (after it, if the op runs in reverse). {@code TOP_K}: the
   * results are the first of all along the dim, to be chosen from the first of each part.
   */
  public enum Mark {
    WHOLE("!"),
    HALO("~"),
    SCAN("^scan"),
    TOP_K("^top"),
    MAX("^max"),
    MIN("^min");

    private final String text;

    Mark(String text) {
      this.text = text;
    }
  }

  public Factors {
    inputs = inputs.stream().map(t -> t.stream().map(List::copyOf).toList()).toList();
    outputs = outputs.stream().map(t -> t.stream().map(List::copyOf).toList()).toList();
    marks = Map.copyOf(marks);
  }

  /** Reads the text form. */
  public static Factors parse(String text) {
    String[] sides = text.split("->", -1);
    if (sides.length != 2) {
      throw new IllegalArgumentException("expected one '->' in factors '" + text + "'");
    }
    var marks = new LinkedHashMap<String, Mark>();
    return new Factors(parseSide(sides[0], marks), parseSide(sides[1], marks), marks);
  }

  /** Inputs and outputs of one shape, dim by dim the same. */
  public static Factors elementwise(int inputs, int outputs, int rank) {
    List<List<String>> dims = named("d", rank);
    return new Factors(
        java.util.Collections.nCopies(inputs, dims),
        java.util.Collections.nCopies(outputs, dims),
        Map.of());
  }

  /** Dims {@code d0, d1, ...}, one factor each. */
  public static List<List<String>> named(String prefix, int rank) {
    var dims = new ArrayList<List<String>>();
    for (int dim = 0; dim < rank; dim++) {
      dims.add(List.of(prefix + dim));
    }
    return dims;
  }

  /** The same factors with one marked. */
  public Factors mark(String factor, Mark mark) {
    var more = new LinkedHashMap<>(marks);
    more.put(factor, mark);
    return new Factors(inputs, outputs, more);
  }

  private static List<List<List<String>>> parseSide(String side, Map<String, Mark> marks) {
    var tensors = new ArrayList<List<List<String>>>();
    for (String tensor : side.split(",", -1)) {
      var dims = new ArrayList<List<String>>();
      List<String> group = null;
      for (String token : tensor.replace("(", " ( ").replace(")", " ) ").trim().split("\\s+")) {
        switch (token) {
          case "" -> {}
          case "(" -> group = new ArrayList<>();
          case ")" -> {
            if (group == null) {
              throw new IllegalArgumentException("unbalanced ')' in factors '" + side + "'");
            }
            dims.add(group);
            group = null;
          }
          default -> {
            String factor = unmark(token, marks);
            if (group != null) {
              group.add(factor);
            } else {
              dims.add(List.of(factor));
            }
          }
        }
      }
      tensors.add(dims);
    }
    return tensors;
  }

  private static String unmark(String token, Map<String, Mark> marks) {
    for (Mark mark : Mark.values()) {
      if (token.endsWith(mark.text)) {
        String factor = token.substring(0, token.length() - mark.text.length());
        marks.put(factor, mark);
        return factor;
      }
    }
    return token;
  }

  @Override
  public String toString() {
    return side(inputs) + " -> " + side(outputs);
  }

  private String side(List<List<List<String>>> tensors) {
    return tensors.stream()
        .map(
            dims ->
                dims.stream()
                    .map(
                        dim ->
                            dim.size() == 1
                                ? marked(dim.getFirst())
                                : dim.stream()
                                    .map(this::marked)
                                    .collect(Collectors.joining(" ", "(", ")")))
                    .collect(Collectors.joining(" ")))
        .collect(Collectors.joining(", "));
  }

  private String marked(String factor) {
    Mark mark = marks.get(factor);
    return mark == null ? factor : factor + mark.text;
  }
}
