package dev.weft.runtime.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.storage.Disk;
import dev.weft.runtime.testing.Mistake;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CheckpointStoreTest {
  private static final SequencedMap<String, TensorType> MODEL = new LinkedHashMap<>();
  private static final SequencedMap<String, TensorType> OPTIMIZER = new LinkedHashMap<>();

  static {
    MODEL.put("wte", TensorType.of(DataType.F32, 6, 4));
    MODEL.put("h.0.qkv.weight", TensorType.of(DataType.F32, 4, 12));
    MODEL.put("flag", TensorType.of(DataType.BOOL, 3));
    OPTIMIZER.put("h.0.qkv.weight.mean", TensorType.of(DataType.F32, 4, 12));
    OPTIMIZER.put("step", TensorType.scalar(DataType.I64));
  }

  @TempDir Path folder;

  /** A checkpoint whose every byte tells its step and version. */
  private static Checkpoint.Content content(long step, int version) {
    ObjectNode state = JsonNodeFactory.instance.objectNode();
    state.put("version", version).put("seed", Long.MIN_VALUE).put("rate", 0.1f).put("tiny", 1e-300);
    state.putArray("routes").add("aten::mm.out").add("ünïcode");
    return new Checkpoint.Content(
        step, filled(MODEL, step, version), filled(OPTIMIZER, step, version), state);
  }

  private static SequencedMap<String, TensorData> filled(
      SequencedMap<String, TensorType> types, long step, int version) {
    SequencedMap<String, TensorData> tensors = new LinkedHashMap<>();
    types.forEach(
        (name, type) -> {
          byte[] bytes = new byte[(int) type.bytes()];
          Arrays.fill(bytes, (byte) (step * 31 + version));
          tensors.put(name, new TensorData(type, MemorySegment.ofArray(bytes)));
        });
    return tensors;
  }

  /** Reads every byte of a checkpoint and returns its version. */
  private static int check(Checkpoint checkpoint) {
    int version = checkpoint.state().path("version").asInt();
    byte expected = (byte) (checkpoint.step() * 31 + version);
    checkpoint.model().require(MODEL);
    checkpoint.optimizer().require(OPTIMIZER);
    for (Safetensors file : List.of(checkpoint.model(), checkpoint.optimizer())) {
      for (String name : file.types().keySet()) {
        for (byte found : file.tensor(name).data().toArray(ValueLayout.JAVA_BYTE)) {
          assertEquals(expected, found);
        }
      }
    }
    return version;
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static String failure(CheckpointStore store) {
    return Mistake.message(
        () -> {
          try (Checkpoint checkpoint = store.latest().orElseThrow()) {
            check(checkpoint);
          }
        });
  }

  @Test
  void whatWasSavedComesBack() {
    CheckpointStore store = CheckpointStore.forTraining(folder, 2);
    store.save(content(100, 7));
    try (Checkpoint checkpoint = CheckpointStore.forReading(folder).latest().orElseThrow()) {
      assertEquals(100, checkpoint.step());
      assertEquals(7, check(checkpoint));
      assertEquals(List.copyOf(MODEL.keySet()), List.copyOf(checkpoint.model().types().keySet()));
      assertEquals(Long.MIN_VALUE, checkpoint.state().path("seed").longValue());
      assertEquals(0.1f, checkpoint.state().path("rate").floatValue());
      assertEquals(1e-300, checkpoint.state().path("tiny").doubleValue());
      assertEquals("ünïcode", checkpoint.state().path("routes").path(1).asText());
    }
    assertEquals(folder.resolve("step-00000100"), store.path(100));
  }

  @Test
  void theNewestStay() throws IOException {
    CheckpointStore store = CheckpointStore.forTraining(folder, 2);
    for (long step : new long[] {5, 10, 100_000_000, 20}) {
      store.save(content(step, 1));
    }
    assertEquals(List.of(20L, 100_000_000L), store.steps());
    assertEquals(List.of("step-00000020", "step-100000000"), names());
    assertThrows(UserException.class, () -> store.load(5));
    assertTrue(CheckpointStore.forReading(folder.resolve("none")).latest().isEmpty());
  }

  @ParameterizedTest
  @EnumSource
  void aSaveThatEndsAnywhereLeavesTheOldCheckpointOrTheNew(FailingDisk.Way way) throws IOException {
    // Step 1 is saved over a checkpoint of the same step, step 2 beside it.
    for (long step : new long[] {1, 2}) {
      boolean failed = true;
      for (int operations = 0; failed; operations++) {
        for (String name : names()) {
          Disk.local().deleteTree(folder.resolve(name));
        }
        FailingDisk disk = new FailingDisk(way);
        CheckpointStore store = CheckpointStore.forTraining(folder, 1, disk);
        store.save(content(1, 1));
        disk.failAfter(operations);
        boolean saved = true;
        try {
          store.save(content(step, 2));
        } catch (UserException failure) {
          saved = false;
          assertTrue(Mistake.message(failure).contains("checkpoint of step " + step));
        }
        if (way == FailingDisk.Way.FULL && !saved) {
          assertEquals(List.of("step-00000001"), names(), "what was begun is cleared");
        }
        CheckpointStore again = CheckpointStore.forTraining(folder, 1);
        assertFalse(names().stream().anyMatch(name -> name.startsWith(".")), names()::toString);
        try (Checkpoint checkpoint = again.latest().orElseThrow()) {
          int version = check(checkpoint);
          assertTrue(version == 2 || !saved, "a save that succeeded is there");
          assertEquals(version == 2 ? step : 1, checkpoint.step());
        }
        failed = disk.failed();
        assertTrue(failed || operations > 10, "operations " + operations);
      }
    }
  }

  @Test
  void aFullDiskIsOneClearError() {
    CheckpointStore.forTraining(folder, 1).save(content(1, 1));
    FailingDisk disk = new FailingDisk(FailingDisk.Way.FULL);
    CheckpointStore store = CheckpointStore.forTraining(folder, 1, disk);
    disk.failAfter(6);
    String message = Mistake.message(() -> store.save(content(2, 2)));
    assertTrue(message.contains("No space left on device"), message);
    assertTrue(message.contains("checkpoint of step 1 is unharmed"), message);
  }

  @Test
  void everyFlippedByteIsFound() throws IOException {
    CheckpointStore store = CheckpointStore.forTraining(folder, 1);
    store.save(content(1, 1));
    for (String name : List.of("model.safetensors", "optimizer.safetensors", "manifest.json")) {
      Path file = store.path(1).resolve(name);
      byte[] intact = Files.readAllBytes(file);
      for (int at = 0; at < intact.length; at += 2) {
        byte[] damaged = intact.clone();
        damaged[at] ^= 0x04;
        Files.write(file, damaged);
        String message = failure(store);
        assertTrue(message.contains(file.toString()), message);
      }
      Files.write(file, intact);
    }
    try (Checkpoint checkpoint = store.load(1)) {
      check(checkpoint);
    }
  }

  @Test
  void damageIsNamed() throws IOException {
    CheckpointStore store = CheckpointStore.forTraining(folder, 1);
    store.save(content(1, 1));
    Path file = store.path(1).resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 1] ^= 1;
    Files.write(file, bytes);
    String message = failure(store);
    assertTrue(message.contains("tensor 'flag' in '" + file + "' is damaged"), message);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 9));
    message = failure(store);
    assertTrue(message.contains("cut short: expected " + bytes.length + " bytes"), message);
    Files.delete(file);
    message = failure(store);
    assertTrue(message.contains("NoSuchFile"), message);
  }

  @Test
  void aCheckpointOfAnotherModelSaysWhere() {
    CheckpointStore store = CheckpointStore.forTraining(folder, 1);
    store.save(content(1, 1));
    try (Checkpoint checkpoint = store.load(1)) {
      Safetensors model = checkpoint.model();
      Map<String, TensorType> wrongShape = new LinkedHashMap<>(MODEL);
      wrongShape.put("wte", TensorType.of(DataType.F32, 8, 4));
      String message = Mistake.message(() -> model.require(wrongShape));
      assertTrue(message.contains("'wte'") && message.contains("f32[6,4]"), message);
      assertTrue(message.contains("expected f32[8,4]"), message);
      Map<String, TensorType> more = new LinkedHashMap<>(MODEL);
      more.put("h.0.qkv.weigth", TensorType.of(DataType.F32, 8, 4));
      message = Mistake.message(() -> model.require(more));
      assertTrue(message.contains("did you mean 'h.0.qkv.weight'"), message);
      Map<String, TensorType> fewer = new LinkedHashMap<>(MODEL);
      fewer.remove("flag");
      message = Mistake.message(() -> model.require(fewer));
      assertTrue(message.contains("'flag'") && message.contains("nothing asks for"), message);
    }
  }

  @Test
  void savesInTheBackgroundFromACopy() {
    try (AsyncSaver saver = new AsyncSaver(CheckpointStore.forTraining(folder, 10))) {
      for (int step = 1; step <= 5; step++) {
        Checkpoint.Content content = content(step, 3);
        saver.save(content);
        content.state().put("version", 99);
        content.model().values().forEach(tensor -> tensor.data().fill((byte) 0));
      }
    }
    CheckpointStore store = CheckpointStore.forReading(folder);
    assertEquals(List.of(1L, 2L, 3L, 4L, 5L), store.steps());
    for (long step : store.steps()) {
      try (Checkpoint checkpoint = store.load(step)) {
        assertEquals(3, check(checkpoint));
      }
    }
  }

  @Test
  void failuresInTheBackgroundComeUpAtTheNextCall() {
    FailingDisk disk = new FailingDisk(FailingDisk.Way.FULL);
    AsyncSaver saver = new AsyncSaver(CheckpointStore.forTraining(folder, 2, disk));
    disk.failAfter(3);
    saver.save(content(1, 1));
    assertThrows(UserException.class, () -> saver.save(content(2, 1)));
    saver.save(content(3, 1));
    assertThrows(UserException.class, saver::close);
    saver.close();
  }
}
