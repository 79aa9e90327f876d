"""Deep supervision and presence: the terms of the loss, the weights that learn, and the saved network."""

import keras
import numpy as np
import pytest

from configs import InputError, UNet3PlusConfig, UNetConfig
from models import Network, Teacher, TrainingModel, build_loss, build_metrics
from models.metrics import dice_coefficient
from models.networks import build_unet, build_unet3plus

OPTIONS = UNet3PlusConfig(width=4, levels=3, classification=True, normalization="none")
HEADS = {"logits1", "logits2"}

ignore_keras_copy = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    network = build_unet3plus(OPTIONS, classes=2)
    network.get_layer("presence_dropout").rate = 0  # so that the loss is reproducible
    return network


@pytest.fixture
def tiles() -> tuple[np.ndarray, np.ndarray]:
    """Returns images `[4, 16, 16, 3]` and masks `[4, 16, 16, 2]`; the first tile contains no class, the second one."""
    random = np.random.default_rng(0)
    masks = (random.uniform(size=(4, 16, 16, 2)) < 0.2).astype(np.float32)
    masks[0] = masks[1, ..., 0] = 0
    return random.uniform(0, 255, (4, 16, 16, 3)).astype(np.float32), masks


def compiled(network, **kwargs) -> keras.Model:
    model = TrainingModel(network)
    model.compile(keras.optimizers.SGD(0.1), build_loss("bce_dice"), jit_compile=False, **kwargs)
    return model


def bce_dice(masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the loss of every tile, `[B]`."""
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    bce = -np.mean(masks * np.log(p) + (1 - masks) * np.log(1 - p), axis=(1, 2, 3))
    return (bce + 1 - np.asarray(dice_coefficient(masks, probabilities))) / 2


def test_a_network_without_further_outputs_has_the_loss_of_its_probabilities(tiles):
    images, masks = tiles
    network = build_unet(UNetConfig(width=4, levels=2), classes=2)
    model = compiled(network)
    probabilities = network(images, training=True).numpy()
    loss = model.compute_loss(images, masks, model(images, training=True))
    assert float(loss) == pytest.approx(bce_dice(masks, probabilities).mean(), rel=1e-5)
    assert model.count_params() == network.count_params()


def test_side_outputs_and_presence_are_weighted(network, tiles):
    images, masks = tiles
    model = TrainingModel(network, side_output_weights=(0.5, 0), presence_weight=3)
    model.compile("sgd", build_loss("bce_dice"), jit_compile=False)
    outputs = [output.numpy() for output in model(images, training=True)]
    maps = (bce_dice(masks, outputs[0]) + 0.5 * bce_dice(masks, outputs[1])) / 1.5
    holds, presence = masks.max(axis=(1, 2)), outputs[3].astype(np.float64)
    cross = -np.mean(holds * np.log(presence) + (1 - holds) * np.log(1 - presence), axis=1)
    loss = model.compute_loss(images, masks, model(images, training=True))
    assert float(loss) == pytest.approx(np.mean(maps + 3 * cross), rel=1e-5)


def test_a_wrong_number_of_weights_is_refused(network):
    with pytest.raises(InputError, match=r"side_output_weights must have 2 numbers.*unet3plus.*received 1"):
        TrainingModel(network, side_output_weights=(1,))


def test_the_training_loss_is_the_mean_over_the_maps_and_the_cross_entropy_of_the_presence(network, tiles):
    images, masks = tiles
    model = compiled(network)
    weights = np.float32([1, 0.5, 0, 2])
    outputs = [output.numpy() for output in model(images, training=True)]
    maps = np.mean([bce_dice(masks, output) for output in outputs[:3]], axis=0)
    holds, presence = masks.max(axis=(1, 2)), outputs[3].astype(np.float64)
    assert holds.tolist() == [[0, 0], [0, 1], [1, 1], [1, 1]]
    cross = -np.mean(holds * np.log(presence) + (1 - holds) * np.log(1 - presence), axis=1)
    loss = model.compute_loss(images, masks, model(images, training=True), weights)
    assert float(loss) == pytest.approx(np.mean(weights * (maps + cross)), rel=1e-5)


def test_presence_is_learnt_where_a_class_is_seen_or_known_throughout(network, tiles):
    images, masks = tiles
    model = TrainingModel(network, side_output_weights=(0, 0), presence_weight=3)
    model.compile("sgd", build_loss("bce_dice"), jit_compile=False)
    known = np.ones_like(masks)
    known[0, :4, :, 0] = 0  # no lesion is seen in the rest: unknown
    known[1] = 0
    known[2, ..., 1] = masks[2, ..., 1]  # a lesion is seen, nothing else
    labels = np.concatenate([masks * known, known], axis=-1)
    outputs = [output.numpy() for output in model(images, training=True)]
    presence = outputs[3].astype(np.float64)
    holds = masks.max(axis=(1, 2))
    cross = -(holds * np.log(presence) + (1 - holds) * np.log(1 - presence))
    expected = float(build_loss("bce_dice")(labels, outputs[0])) + np.mean(
        [3 * cross[0, 1], 3 * cross[2].mean(), 3 * cross[3].mean()]
    )
    assert float(model.compute_loss(images, labels, model(images, training=True))) == pytest.approx(expected, rel=1e-5)


def distillation(taught: np.ndarray, learnt: np.ndarray, temperature: float) -> float:
    """Returns T² BCE of both with their logits divided by T, the mean over all pixels and classes."""
    target, p = (
        1 / (1 + np.exp(-(np.log(one) - np.log1p(-one)) / temperature)) for one in map(np.float64, (taught, learnt))
    )
    return temperature**2 * np.mean(-(target * np.log(p) + (1 - target) * np.log1p(-p)))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_teacher_has_its_weight_in_the_loss_of_every_map_and_no_weights_in_the_model(network, tiles, temperature):
    images, masks = tiles
    teacher = Teacher(
        build_unet(UNetConfig(width=4, levels=2), classes=3),
        channels=(2, 1),
        student_channels=(0, 1),
        weight=0.3,
        temperature=temperature,
    )
    plain = TrainingModel(network, side_output_weights=(0.5, 0))
    model = TrainingModel(network, side_output_weights=(0.5, 0), teacher=teacher)
    for one in (plain, model):
        one.compile("sgd", build_loss("bce_dice"), jit_compile=False)
    assert len(model.variables) == len(plain.variables)
    assert model.count_params() == plain.count_params()
    predicted = model(images, training=True)
    main, side, _, presence = (output.numpy() for output in predicted)
    holds = masks.max(axis=(1, 2))
    present = -np.mean(holds * np.log(presence) + (1 - holds) * np.log(1 - presence))
    taught = teacher.network(images, training=False).numpy()[..., [2, 1]]
    learnt = [distillation(taught, one, temperature) for one in (main, side)]
    of_masks = float(plain.compute_loss(images, masks, predicted)) - present
    expected = 0.7 * of_masks + 0.3 * (learnt[0] + 0.5 * learnt[1]) / 1.5 + present
    assert float(model.compute_loss(images, masks, predicted)) == pytest.approx(expected, rel=1e-5)
    in_validation = model.compute_loss(images, masks, predicted, training=False)
    assert float(in_validation) == float(plain.compute_loss(images, masks, predicted, training=False))


@pytest.mark.slow
def test_with_nothing_known_and_all_weight_on_the_teacher_a_student_becomes_like_it(tiles):
    images = tiles[0]
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 3))
    layers = [keras.layers.Conv2D(2, 3, padding="same", activation="sigmoid") for _ in range(2)]
    student, taught = (Network(image, layer(image / 255)) for layer in layers)
    before = [weight.copy() for weight in taught.get_weights()]
    teacher = Teacher(taught, channels=(0, 1), student_channels=(0, 1), weight=1, temperature=2)
    model = TrainingModel(student, teacher=teacher)
    model.compile(keras.optimizers.Adam(3e-2), build_loss("bce_dice"), jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # a step that creates variables is traced twice

    def divergence() -> float:
        target, learnt = (network(images, training=False).numpy() for network in (taught, student))
        return distillation(target, learnt, 1) - distillation(target, target, 1)

    start = divergence()
    nothing = np.zeros((4, 16, 16, 4), np.float32)
    for _ in range(30):
        model.train_on_batch(images, nothing)
    print(f"Kullback-Leibler divergence from the teacher: {start:.2g}, then {divergence():.2g}")
    assert divergence() < 0.2 * start
    for weight, other in zip(taught.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.slow
def test_the_validation_loss_and_the_metrics_are_those_of_the_probabilities_alone(network, tiles):
    images, masks = tiles
    model = compiled(network, weighted_metrics=build_metrics(["dice_coef"], ["a", "b"]))
    values = model.evaluate(images, masks, batch_size=4, verbose=0, return_dict=True)
    metrics = build_metrics(["dice_coef"], ["a", "b"])
    network.compile("sgd", build_loss("bce_dice"), weighted_metrics=metrics, jit_compile=False)
    assert values == pytest.approx(network.evaluate(images, masks, batch_size=4, verbose=0, return_dict=True))


@pytest.mark.slow
def test_a_training_step_changes_the_heads_and_the_weights_of_the_network(network, tiles):
    model = compiled(network)
    assert {layer.name for layer in model.layers} > HEADS
    layers = [model.get_layer(name) for name in ("logits", "logits1", "logits2", "presence_logits", "encoder0_conv0")]
    before = [layer.get_weights()[0].copy() for layer in layers]
    own = network.get_layer("encoder0_conv0")
    history = model.fit(*tiles, batch_size=4, verbose=0)
    assert list(history.history) == ["loss"]
    for layer, weights in zip(layers, before, strict=True):
        assert np.any(layer.get_weights()[0] != weights), f"{layer.name} did not move"
    np.testing.assert_array_equal(own.get_weights()[0], layers[-1].get_weights()[0])


@pytest.mark.slow
@ignore_keras_copy
def test_the_saved_network_gives_the_same_results_and_has_no_heads(network, tiles, tmp_path):
    images, masks = tiles
    before = network(images, training=False).numpy()
    model = compiled(network)
    np.testing.assert_array_equal(network(images, training=False), before)
    model.train_on_batch(images, masks)
    trained = network(images, training=False).numpy()
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(images, training=False), trained)
    assert not HEADS & {layer.name for layer in loaded.layers}
    assert (loaded.side_outputs, loaded.presence) == ([], None)
    assert loaded.count_params() == network.count_params()


@pytest.mark.slow
@ignore_keras_copy
def test_weights_saved_in_training_are_restored_in_the_network(network, tiles, tmp_path):
    images, masks = tiles
    model = compiled(network)
    model.train_on_batch(images, masks)
    trained = network(images, training=False).numpy()
    model.save_weights(tmp_path / "best.weights.h5")
    model.train_on_batch(images, masks)
    assert np.any(network(images, training=False).numpy() != trained)
    model.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(network(images, training=False), trained)


@pytest.mark.slow
def test_presence_is_learnt_and_then_clears_the_maps_of_empty_tiles(network, tiles):
    images, masks = tiles
    images = np.where(masks[..., :1] > 0, 250, np.where(masks[..., 1:] > 0, 20, 120)) + images / 50
    model = TrainingModel(network)
    model.compile(keras.optimizers.Adam(1e-2), build_loss("bce_dice"), jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # a step that creates variables is traced twice
    for _ in range(40):
        model.train_on_batch(images, masks)
    presence = keras.Model(network.input, network.presence)(images).numpy()
    assert ((presence >= 0.5) == masks.max(axis=(1, 2))).all()
    probabilities = network(images, training=False).numpy()
    assert (probabilities.max(axis=(1, 2)) > 0).tolist() == (masks.max(axis=(1, 2)) > 0).tolist()
