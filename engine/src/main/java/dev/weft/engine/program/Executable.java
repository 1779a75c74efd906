package dev.weft.engine.program;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Value;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.library.TensorSlot;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A graph ready to run on a device: compiled once to prepared calls on bound and planned memory. It
 * is linked to addresses at its first run, when all programs that share the scratch slab are known.
 */
public final class Executable implements AutoCloseable {
  private final Device device;
  private final String name;
  private final Program program;
  private final Collectives collectives;
  private final double flops;
  private final List<DeviceBuffer> results;
  private final List<DeviceBuffer> own;
  private final Map<DeviceBuffer, DeviceBuffer> places;

  private long[] nanoseconds = new long[0];
  private @Nullable Arena arena;
  private @Nullable Slab constants;
  private Step[] steps = new Step[0];
  private List<TensorHandle> handles = List.of();
  private List<TensorSlot> slots = List.of();

  private Executable(
      Device device,
      String name,
      Program program,
      Collectives collectives,
      double flops,
      List<DeviceBuffer> results,
      List<DeviceBuffer> own,
      Map<DeviceBuffer, DeviceBuffer> places) {
    this.device = device;
    this.name = name;
    this.program = program;
    this.collectives = collectives;
    this.flops = flops;
    this.results = results;
    this.own = own;
    this.places = Map.copyOf(places);
  }

  /** Compiles a graph; see {@link Device#load}. */
  public static Executable of(
      Device device,
      Lowered lowered,
      Map<Value, DeviceBuffer> bound,
      Map<Integer, DeviceBuffer> given,
      Collectives collectives) {
    Graph graph = lowered.graph();
    for (Value input : graph.inputValues()) {
      DeviceBuffer buffer = bound.get(input);
      if (buffer == null) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": " + input + " is not bound");
      }
      if (!buffer.type().equals(input.type())) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": " + input + " is bound to " + buffer);
      }
    }
    var results = new ArrayList<DeviceBuffer>();
    var own = new ArrayList<DeviceBuffer>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      Graph.Output output = graph.outputs().get(i);
      Value donor = output.donated();
      DeviceBuffer place = given.get(i);
      if (place != null && !place.type().equals(output.value().type())) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": output " + output.value() + " is given " + place);
      }
      if (donor != null) {
        results.add(bound.get(donor));
      } else if (place != null) {
        results.add(place);
      } else {
        DeviceBuffer buffer =
            device.allocate(
                graph.name() + " output %" + output.value().name(), output.value().type());
        results.add(buffer);
        own.add(buffer);
      }
    }
    Program program =
        Program.of(
            graph,
            device.kind(),
            (op, types) -> device.routes().choose(device.kind(), device.threads(), op, types),
            bound,
            results);
    return new Executable(
        device, graph.name(), program, collectives, lowered.flops(), results, own, Map.of());
  }

  /**
   * The same program on other memory, without compiling it again.
   *
   * @param other for each buffer that the program was bound to or given the one to take its place;
   *     those that are missing stay
   */
  public Executable on(Map<DeviceBuffer, DeviceBuffer> other, Collectives ownCollectives) {
    if (!own.isEmpty()) {
      throw new IllegalStateException(
          "graph " + name + " has outputs in memory of its own; all must be given");
    }
    other.forEach(
        (from, to) -> {
          if (!from.type().equals(to.type())) {
            throw new IllegalArgumentException(
                "graph " + name + ": " + to + " cannot take the place of " + from);
          }
        });
    List<DeviceBuffer> moved = results.stream().map(b -> other.getOrDefault(b, b)).toList();
    return new Executable(device, name, program, ownCollectives, flops, moved, List.of(), other);
  }

  /** The buffer in which an output is after a run. */
  public DeviceBuffer output(int index) {
    return results.get(index);
  }

  /** Floating point operations of one run. */
  public double flops() {
    return flops;
  }

  /** Bytes of the scratch slab that it needs. */
  public long scratchBytes() {
    return program.plan().bytes();
  }

  /** The most bytes of results that one call allocates itself: they live until they are copied. */
  public long adoptedBytes() {
    return program.commands().stream().mapToLong(Executable::adoptedBytes).max().orElse(0);
  }

  private static long adoptedBytes(Command command) {
    return command instanceof Command.Library library
        ? library.results().stream()
            .flatMap(Optional::stream)
            .mapToLong(result -> result.shape().elements() * result.dtype().bytes())
            .sum()
        : 0;
  }

  /** Bytes of its constants. */
  public long constantBytes() {
    return program.constants().keySet().stream().mapToLong(b -> b.bytes).sum();
  }

  /** How many calls a run makes. */
  public int calls() {
    return program.commands().size();
  }

  /**
   * Runs once, and waits for the end.
   *
   * @throws dev.weft.engine.library.KernelException if a kernel fails, naming the op
   */
  public void run() {
    device
        .thread()
        .execute(
            () -> {
              try {
                if (arena == null) {
                  link();
                }
                runSteps();
              } catch (Throwable e) {
                collectives.failed(e);
                throw e;
              }
              return true;
            });
  }

  /** Has every run from now on time each of its calls, at the price of two readings of a clock. */
  public void startProfile() {
    nanoseconds = new long[program.commands().size()];
  }

  /** The time of each call, summed over the runs since {@link #startProfile}. */
  public List<CallTime> profile() {
    var times = new ArrayList<CallTime>();
    for (int i = 0; i < nanoseconds.length; i++) {
      Command command = program.commands().get(i);
      times.add(new CallTime(command.origin(), CommandText.of(command), nanoseconds[i]));
    }
    return times;
  }

  private void runSteps() {
    int position = 0;
    try {
      if (nanoseconds.length == 0) {
        for (; position < steps.length; position++) {
          collectives.check();
          steps[position].run();
        }
      } else {
        long before = System.nanoTime();
        for (; position < steps.length; position++) {
          collectives.check();
          steps[position].run();
          long now = System.nanoTime();
          nanoseconds[position] += now - before;
          before = now;
        }
      }
    } catch (RuntimeException e) {
      slots.forEach(TensorSlot::close);
      e.addSuppressed(
          new IllegalStateException(
              "in graph " + name + ", " + program.commands().get(position).origin()));
      throw e;
    }
  }

  /**
   * Runs once more, op by op, and names the first op whose result holds a not-a-number or an
   * infinity. For diagnosis: it is slow. Devices that compute together must do so together.
   */
  public Optional<String> firstNonFinite() {
    return device
        .thread()
        .execute(
            () -> {
              if (arena == null) {
                link();
              }
              Optional<String> first = Optional.empty();
              for (int position = 0; position < steps.length; position++) {
                steps[position].run();
                Command command = program.commands().get(position);
                if (first.isEmpty() && Targets.of(command).stream().anyMatch(this::isNonFinite)) {
                  first = Optional.of(command.origin());
                }
              }
              return first;
            });
  }

  private boolean isNonFinite(Operand operand) {
    if (!operand.dtype().isFloat() || !operand.layout().isContiguous()) {
      return false;
    }
    long address = address(operand);
    long bytes = operand.shape().elements() * operand.dtype().bytes();
    Literal values =
        Literals.read(
            new dev.weft.core.graph.TensorType(operand.dtype(), operand.shape()),
            java.lang.foreign.MemorySegment.ofAddress(address).reinterpret(bytes));
    for (double value : values.doubles()) {
      if (!Double.isFinite(value)) {
        return true;
      }
    }
    return false;
  }

  private Map<Buffer, Long> constantAddresses = Map.of();
  private long scratchAddress;

  private long address(Operand operand) {
    Buffer buffer = operand.buffer();
    Long constant = constantAddresses.get(buffer);
    long base =
        buffer.bound != null
            ? Objects.requireNonNull(places.getOrDefault(buffer.bound, buffer.bound)).address()
            : constant != null ? constant : scratchAddress + buffer.offset;
    return base + operand.offset();
  }

  /**
   * Sees to it that the device's scratch slab is large enough, and that there is room beside it for
   * what kernels allocate.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if the budget has not so many bytes,
   *     naming the op that needs most
   */
  public Slab reserve() {
    String fullest =
        program.commands().isEmpty()
            ? ""
            : ", fullest at " + program.commands().get(program.plan().fullest()).origin();
    Slab scratch =
        device.scratch(program.plan().bytes(), "scratch memory of graph " + name + fullest);
    program.commands().stream()
        .max(Comparator.comparingLong(Executable::adoptedBytes))
        .ifPresent(largest -> device.memory().require(adoptedBytes(largest), largest.origin()));
    return scratch;
  }

  private void link() {
    Slab scratch = reserve();
    scratchAddress = scratch.address();
    Arena opened = Arena.ofShared();
    arena = opened;
    var addresses = new HashMap<Buffer, Long>();
    long offset = 0;
    for (Buffer buffer : program.constants().keySet()) {
      offset = Math.ceilDiv(offset, 64) * 64;
      addresses.put(buffer, offset);
      offset += buffer.bytes;
    }
    Slab memory = Slab.map(device.memory(), offset, "constants of graph " + name);
    constants = memory;
    addresses.replaceAll((_, at) -> at + memory.address());
    program
        .constants()
        .forEach(
            (buffer, literal) ->
                Literals.write(
                    literal,
                    memory
                        .segment()
                        .asSlice(
                            Objects.requireNonNull(addresses.get(buffer)) - memory.address(),
                            buffer.bytes)));
    constantAddresses = addresses;
    var linker = new Linker(device, collectives, opened, scratch.address(), addresses, places);
    steps = program.commands().stream().map(linker::link).toArray(Step[]::new);
    handles = linker.handles();
    slots = linker.slots();
  }

  /** Drops everything that depends on addresses; the next run links again. */
  public void unlink() {
    Arena opened = arena;
    if (opened != null) {
      slots.forEach(TensorSlot::close);
      handles.forEach(TensorHandle::close);
      handles = List.of();
      slots = List.of();
      steps = new Step[0];
      opened.close();
      arena = null;
      if (constants != null) {
        constants.close();
        constants = null;
      }
    }
  }

  /** Frees what the program holds; buffers bound from outside stay. */
  @Override
  public void close() {
    device
        .thread()
        .execute(
            () -> {
              unlink();
              return true;
            });
    own.forEach(DeviceBuffer::close);
    device.forget(this);
  }
}
