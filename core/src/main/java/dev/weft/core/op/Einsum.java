package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A sum of products over named dims, {@code bik,bkj->bij}, of one or two tensors.
 *
 * @param equation one letter per dim; a letter that the result lacks is summed over
 */
public record Einsum(String equation) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Einsum.class,
          Example.of(new Einsum("bik,bkj->bij"), Example.f32(2, 3, 4), Example.f32(2, 4, 5)),
          Example.of(new Einsum("ijk,kl->lij"), Example.f32(2, 3, 4), Example.f32(4, 5)),
          Example.of(new Einsum("abc,cbd->da"), Example.f32(2, 3, 4), Example.f32(4, 3, 5)),
          Example.of(new Einsum("ij->ji"), Example.f32(2, 3)),
          Example.of(new Einsum("i,j->ij"), Example.f32(2), Example.f32(3)));

  private List<String> operands() {
    return List.of(equation.split("->", -1)[0].split(","));
  }

  private String result() {
    return equation.split("->", -1)[1];
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.require(
        equation.matches("[a-zA-Z]*(,[a-zA-Z]*)?->[a-zA-Z]*"),
        this,
        inputs,
        "expected an equation like bik,bkj->bij, found '" + equation + "'");
    Check.count(this, inputs, operands().size());
    long[] sizes = new long[128];
    Arrays.fill(sizes, -1);
    for (int i = 0; i < inputs.size(); i++) {
      String letters = operands().get(i);
      Check.require(
          inputs.get(i).dtype() == inputs.getFirst().dtype() && inputs.getFirst().dtype().isFloat(),
          this,
          inputs,
          "the arguments must be floats of one data type");
      Check.rank(this, inputs, i, letters.length());
      for (int dim = 0; dim < letters.length(); dim++) {
        char letter = letters.charAt(dim);
        long size = inputs.get(i).size(dim);
        Check.require(
            letters.indexOf(letter) == dim, this, inputs, letter + " stands twice in " + letters);
        Check.require(
            sizes[letter] < 0 || sizes[letter] == size,
            this,
            inputs,
            "dim " + letter + " has sizes " + sizes[letter] + " and " + size);
        sizes[letter] = size;
      }
    }
    String result = result();
    for (int dim = 0; dim < result.length(); dim++) {
      Check.require(
          sizes[result.charAt(dim)] >= 0 && result.indexOf(result.charAt(dim)) == dim,
          this,
          inputs,
          "dim " + result.charAt(dim) + " of the result is in no argument, or twice in the result");
    }
    return List.of(
        inputs.getFirst().with(Shape.of(result.chars().mapToLong(c -> sizes[c]).toArray())));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return new Factors(
        operands().stream().map(Einsum::dims).toList(), List.of(dims(result())), Map.of());
  }

  private static List<List<String>> dims(String letters) {
    return letters.chars().mapToObj(c -> List.of(Character.toString(c))).toList();
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    long[] sizes = new long[128];
    for (int i = 0; i < inputs.size(); i++) {
      for (int dim = 0; dim < inputs.get(i).rank(); dim++) {
        sizes[operands().get(i).charAt(dim)] = inputs.get(i).size(dim);
      }
    }
    double flops = inputs.size();
    for (long size : sizes) {
      flops *= Math.max(1, size);
    }
    return Cost.streaming(flops, inputs, infer(inputs));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    String result = result();
    if (inputs.size() == 1) {
      return List.of(
          arrange(
              sumOut(inputs.getFirst(), operands().getFirst(), result),
              letters(operands().getFirst(), result),
              result));
    }
    String left = operands().get(0);
    String right = operands().get(1);
    Tensor a = sumOut(inputs.get(0), left, right + result);
    Tensor b = sumOut(inputs.get(1), right, left + result);
    left = letters(left, right + result);
    right = letters(right, left + result);
    String batch = letters(letters(left, right), result);
    String summed = without(letters(left, right), result);
    String rows = without(left, right);
    String columns = without(right, left);
    Tensor x = arrange(a, left, batch + rows + summed);
    Tensor y = arrange(b, right, batch + summed + columns);
    int n = batch.length();
    long batches = x.shape().product(0, n);
    long m = x.shape().product(n, n + rows.length());
    long k = x.shape().product(n + rows.length(), x.rank());
    long c = y.shape().product(n + summed.length(), y.rank());
    Tensor product =
        n == 0
            ? x.reshape(m, k).matmul(y.reshape(k, c))
            : x.reshape(batches, m, k).matmul(y.reshape(batches, k, c));
    long[] sizes = new long[n + rows.length() + columns.length()];
    for (int i = 0; i < n + rows.length(); i++) {
      sizes[i] = x.size(i);
    }
    for (int i = 0; i < columns.length(); i++) {
      sizes[n + rows.length() + i] = y.size(n + summed.length() + i);
    }
    return List.of(arrange(product.reshape(sizes), batch + rows + columns, result));
  }

  /** Sums over the dims whose letter is not among the kept ones. */
  private static Tensor sumOut(Tensor x, String letters, String kept) {
    var dims = new ArrayList<Integer>();
    for (int dim = 0; dim < letters.length(); dim++) {
      if (kept.indexOf(letters.charAt(dim)) < 0) {
        dims.add(dim);
      }
    }
    return x.sum(dims);
  }

  private static Tensor arrange(Tensor x, String from, String to) {
    if (from.equals(to)) {
      return x;
    }
    return x.transpose(to.chars().mapToObj(from::indexOf).toList());
  }

  /** The letters of the first that are among the second. */
  private static String letters(String from, String among) {
    var kept = new StringBuilder();
    from.chars().filter(c -> among.indexOf(c) >= 0).forEach(c -> kept.append((char) c));
    return kept.toString();
  }

  private static String without(String from, String gone) {
    var kept = new StringBuilder();
    from.chars().filter(c -> gone.indexOf(c) < 0).forEach(c -> kept.append((char) c));
    return kept.toString();
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return inputs.size() == 1 ? List.of(List.of(0)) : List.of(List.of(0), List.of(1));
  }
}
