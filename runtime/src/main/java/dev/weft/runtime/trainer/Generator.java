package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.CallTime;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Literals;
import dev.weft.engine.vector.Vectors;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.step.GenerationGraphs;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.machine.Machine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.IntConsumer;

/** Continues a text: one run over its beginning, then one token at a time with a cache. */
public final class Generator implements AutoCloseable {
  private final ModelConfig model;
  private final DataType dtype;
  private final GenerativeModel generative;
  private final Device device;
  private final Map<String, DeviceBuffer> buffers = new LinkedHashMap<>();
  private final Map<Long, Executable> prefills = new HashMap<>();
  private final Map<Long, DeviceBuffer> prompts = new HashMap<>();
  private final Executable decode;

  private final Traced traced;

  private Generator(TrainConfig config, GenerativeModel generative, Device device) {
    this.model = config.modelConfig();
    this.dtype = config.computeType();
    this.generative = generative;
    this.device = device;
    TensorType cache =
        TensorType.of(
            dtype, model.layers(), model.heads(), model.sequence(), model.hidden() / model.heads());
    allocate("keys", cache);
    allocate("values", cache);
    allocate("token", TensorType.of(DataType.I64, 1, 1));
    allocate("position", TensorType.scalar(DataType.I64));
    this.traced = GenerationGraphs.decode(generative, model, dtype);
    for (Value parameter : traced.graph().inputs(Graph.Kind.PARAMETER)) {
      buffers.put(
          parameter.name(), device.allocate(parameter.name(), parameter.type(), layout(parameter)));
    }
    this.decode = load(traced.graph(), "token");
  }

  private Strided layout(Value parameter) {
    return RowProducts.layout(traced.graph(), parameter, device.routes().loops(dtype));
  }

  private void restore(Checkpoint checkpoint) {
    for (Parameter parameter : traced.parameters()) {
      DeviceBuffer buffer = buffer(parameter.name());
      DataType held = buffer.type().dtype();
      long offset = 0;
      for (String name : parameter.sliceNames()) {
        TensorData tensor = checkpoint.model().tensor(name);
        if (!tensor.type().equals(parameter.sliceType())) {
          throw new UserException(
              "tensor '%s' has type %s, expected %s: the checkpoint is of another model"
                  .formatted(name, tensor.type(), parameter.sliceType()));
        }
        TensorType type = tensor.type().with(held);
        MemorySegment target = buffer.segment().asSlice(offset, type.bytes());
        if (!buffer.layout().isContiguous()) {
          Literals.write(turned(tensor, held), target);
        } else if (type.equals(tensor.type())) {
          target.copyFrom(tensor.data());
        } else {
          // Read as numbers and rounded once, here: tokens read the narrow numbers alone.
          Literals.write(
              Literal.of(type, Literals.read(tensor.type(), tensor.data()).doubles()), target);
        }
        offset += type.bytes();
      }
    }
  }

  /** A matrix's numbers column by column, in the type in which they are held. */
  private static Literal turned(TensorData tensor, DataType held) {
    double[] values = Literals.read(tensor.type(), tensor.data()).doubles();
    double[] result = new double[values.length];
    int rows = Math.toIntExact(tensor.type().size(0));
    int columns = Math.toIntExact(tensor.type().size(1));
    for (int column = 0; column < columns; column++) {
      for (int row = 0; row < rows; row++) {
        result[column * rows + row] = values[row * columns + column];
      }
    }
    return Literal.of(TensorType.of(held, columns, rows), result);
  }

  /** Makes a checkpoint's model ready. */
  public static Generator open(TrainConfig config, Checkpoint checkpoint) {
    Generator generator = empty(config);
    try {
      generator.restore(checkpoint);
      return generator;
    } catch (RuntimeException e) {
      generator.close();
      throw e;
    }
  }

  /** What calls took since {@link #startProfile}. */
  public List<CallTime> profile() {
    return decode.profile();
  }

  /** Has all tokens from now on time each call. */
  public void startProfile() {
    decode.startProfile();
  }

  /** A model whose parameters, keys and values are all about a hundredth, to time. */
  public static Generator untrained(TrainConfig config) {
    Generator generator = empty(config);
    // Memory that was never written is one page of zeros, read from a cache: tokens look at places
    // before them that none was at, too.
    for (DeviceBuffer buffer : generator.buffers.values()) {
      if (buffer.type().dtype().isFloat()) {
        buffer.segment().fill((byte) 0x3c);
      }
    }
    return generator;
  }

  private static Generator empty(TrainConfig config) {
    if (!(Models.load(config.model(), config.classpath()) instanceof GenerativeModel generative)) {
      throw new UserException("model " + config.model() + " cannot generate text");
    }
    // Java compiles them while the library is loaded.
    Vectors.prepare(config.computeType());
    Device device =
        Device.open(
            DeviceKind.CPU,
            config.cores(),
            Bytes.of(Machine.memory().count() / 10 * 9),
            Machine.routes(Map.of()).withLoops());
    try {
      return new Generator(config, generative, device);
    } catch (RuntimeException e) {
      device.close();
      throw e;
    }
  }

  /** Bytes of all parameters as they are held here, which a token needs read once. */
  public long parameterBytes() {
    return traced.graph().inputs(Graph.Kind.PARAMETER).stream()
        .mapToLong(parameter -> parameter.type().bytes())
        .sum();
  }

  /**
   * Takes in one token after those before it, whose keys and values are kept.
   *
   * @param position less than the model's context
   * @return the logits of the token to follow
   */
  public MemorySegment decode(int token, int position) {
    buffer("token").segment().set(ValueLayout.JAVA_LONG, 0, token);
    buffer("position").segment().set(ValueLayout.JAVA_LONG, 0, position);
    decode.run();
    return decode.output(0).segment();
  }

  private void allocate(String name, TensorType type) {
    buffers.put(name, device.allocate(name, type));
  }

  private DeviceBuffer buffer(String name) {
    return Objects.requireNonNull(buffers.get(name), name);
  }

  private Executable load(Graph graph, String token) {
    Map<Value, DeviceBuffer> bound = new HashMap<>();
    for (Value input : graph.inputValues()) {
      bound.put(input, buffer(input.name().equals(StepGraphs.TOKENS) ? token : input.name()));
    }
    return device.load(graph, bound);
  }

  /**
   * Continues a text.
   *
   * @param prompt at least one token; of a longer one than the model's context its end counts
   * @param count how many tokens to make
   * @param temperature 0 takes the likeliest token each time
   * @param topK choose among so many of the likeliest; 0 for all
   * @param sink hears each token
   */
  public void generate(
      byte[] prompt, int count, double temperature, int topK, long seed, IntConsumer sink) {
    if (prompt.length == 0) {
      throw new UserException("the prompt is empty: give at least one character");
    }
    var random = new SplittableRandom(seed);
    var text = new ArrayList<Integer>();
    for (byte b : prompt) {
      text.add(b & 0xFF);
    }
    MemorySegment logits = prefill(text);
    int position = Math.min(text.size(), context());
    for (int made = 0; made < count; made++) {
      int token = sample(logits, temperature, topK, random);
      sink.accept(token);
      text.add(token);
      if (made + 1 == count) {
        return;
      }
      if (position >= model.sequence()) {
        // The context is full: begin again with its second half.
        logits = prefill(text);
        position = context();
      } else {
        logits = decode(token, position);
        position++;
      }
    }
  }

  /** Tokens of the text that a run over its beginning takes in: room is left to go on. */
  private int context() {
    return Math.max(1, model.sequence() / 2);
  }

  private MemorySegment prefill(List<Integer> text) {
    List<Integer> seen = text.subList(Math.max(0, text.size() - context()), text.size());
    long length =
        Math.min(model.sequence(), Integer.highestOneBit(Math.max(1, 2 * seen.size() - 1)));
    Executable executable =
        prefills.computeIfAbsent(
            length,
            n -> {
              TensorType type = TensorType.of(DataType.I64, 1, n);
              allocate("prompt" + n, type);
              prompts.put(n, buffer("prompt" + n));
              return load(
                  GenerationGraphs.prefill(traced, generative, model, n, dtype).graph(),
                  "prompt" + n);
            });
    MemorySegment tokens = Objects.requireNonNull(prompts.get(length)).segment();
    for (int i = 0; i < length; i++) {
      tokens.setAtIndex(ValueLayout.JAVA_LONG, i, i < seen.size() ? seen.get(i) : 0);
    }
    buffer("position").segment().set(ValueLayout.JAVA_LONG, 0, seen.size() - 1L);
    executable.run();
    return executable.output(0).segment();
  }

  private int sample(MemorySegment logits, double temperature, int topK, SplittableRandom random) {
    int n = Math.min(256, model.vocabulary());
    double[] scores = new double[n];
    for (int i = 0; i < n; i++) {
      scores[i] =
          dtype == DataType.F64
              ? logits.getAtIndex(ValueLayout.JAVA_DOUBLE, i)
              : logits.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    double largest = Arrays.stream(scores).max().orElseThrow();
    if (temperature == 0) {
      for (int i = 0; i < n; i++) {
        if (scores[i] == largest) {
          return i;
        }
      }
    }
    double[] sorted = scores.clone();
    Arrays.sort(sorted);
    double least = topK > 0 && topK < n ? sorted[n - topK] : Double.NEGATIVE_INFINITY;
    double total = 0;
    for (int i = 0; i < n; i++) {
      scores[i] = scores[i] < least ? 0 : Math.exp((scores[i] - largest) / temperature);
      total += scores[i];
    }
    double target = random.nextDouble() * total;
    for (int i = 0; i < n; i++) {
      target -= scores[i];
      if (target < 0) {
        return i;
      }
    }
    return n - 1;
  }

  @Override
  public void close() {
    device.close();
  }
}
