package dev.weft.core.graph;

import java.util.ArrayList;
import java.util.List;

/**
 * How a library computes an op, as data: calls that run one after another. The engine resolves them
 * when it loads a program.
 *
 * <pre>
 * call     := target '(' argument ',' ... ')' [ '->' result ',' ... ]
 * target   := aten::name[.overload]   the library's dispatcher; arguments in the schema's order, all given
 *           | shim::name              the C function of that name for the kind of device, in C order
 *           | weft::name              a routine of the engine's own
 * argument := [name '='] ( tensor | literal )       a name before '=' only documents
 * tensor   := x0 x1 ...               the inputs
 *           | y0 y1 ...               the outputs, in planned memory
 *           | t0:f32[2,3]             a temporary in planned memory; later uses may leave the type out
 *           | b                       the value that an accumulating kernel adds to
 *           | view(tensor, [sizes])   reshaped; copied first where the strides do not allow it
 *           | transposed(tensor)      the last two dims exchanged
 *           | slice(tensor, [starts], [limits], [strides])   a part of each dim
 *           | contiguous(tensor)      copied first unless it is row-major without gaps
 *           | scalar(number[, dtype]) a tensor of rank 0, f64 unless said
 * literal  := 3 | 0.5 | true | false | none | [1,2] | {x0,x1} | "text" | f32 | &amp;argument
 * result   := y0 | t0:f32[2,3] | _    memory that the library made: adopted or dropped
 * </pre>
 *
 * {@code {..}} is a list of tensors, {@code &} a pointer to a number for optional arguments of C
 * functions. Integers go as 64 bit, numbers with a point as doubles. A list goes to a C function as
 * pointer and length.
 *
 * @param calls the calls
 * @param mutates pairs of output and input: the kernel updates the input's memory, which becomes
 *     the output
 * @param shares pairs of output and input that may, but need not, be the same memory
 * @param clobbers inputs whose memory holds nothing of use afterwards
 * @param serialBlas whether the matrix library must run on one thread meanwhile
 */
public record Kernel(
    List<String> calls,
    List<Pair> mutates,
    List<Pair> shares,
    List<Integer> clobbers,
    boolean serialBlas) {
  /** An output and the input whose memory it takes. */
  public record Pair(int output, int input) {}

  public Kernel {
    calls = List.copyOf(calls);
    mutates = List.copyOf(mutates);
    shares = List.copyOf(shares);
    clobbers = List.copyOf(clobbers);
  }

  public static Kernel of(String... calls) {
    return new Kernel(List.of(calls), List.of(), List.of(), List.of(), false);
  }

  /** The kernel works on the input's memory, which becomes the output. */
  public Kernel mutating(int output, int input) {
    return new Kernel(
        calls, append(mutates, new Pair(output, input)), shares, clobbers, serialBlas);
  }

  /** The output may be written over the input. */
  public Kernel sharing(int output, int input) {
    return new Kernel(
        calls, mutates, append(shares, new Pair(output, input)), clobbers, serialBlas);
  }

  /** The kernel leaves nothing of use in the input's memory. */
  public Kernel clobbering(int input) {
    return new Kernel(calls, mutates, shares, append(clobbers, input), serialBlas);
  }

  /** The kernel calls the matrix library from inside its own parallel loop. */
  public Kernel withSerialBlas() {
    return new Kernel(calls, mutates, shares, clobbers, true);
  }

  private static <T> List<T> append(List<T> list, T element) {
    var longer = new ArrayList<>(list);
    longer.add(element);
    return longer;
  }
}
