"""The weights of the best epoch."""

import keras
import numpy as np

from pipeline.training.callbacks import BestWeights


def test_the_best_weights_are_those_of_the_lowest_validation_loss(network, tmp_path):
    best = BestWeights(tmp_path, "val_loss")
    model = keras.models.clone_model(network)
    best.set_model(model)
    for epoch, loss in enumerate((0.5, 0.3, 0.4, 0.3)):
        model.set_weights([np.full(weight.shape, epoch) for weight in model.get_weights()])
        best.on_epoch_end(epoch, {"val_loss": loss})
    assert (best.best, best.epoch) == (0.3, 2)
    best.load()
    assert all(np.all(weight == 1) for weight in model.get_weights())


def test_the_best_weights_are_those_of_the_highest_value_of_all_but_losses(network, tmp_path):
    best = BestWeights(tmp_path, "val_dice_coef")
    best.set_model(network)
    for epoch, logs in enumerate(({"val_dice_coef": 0.2}, {"val_dice_coef": 0.4}, {}, {"val_dice_coef": 0.3})):
        best.on_epoch_end(epoch, logs)
    assert (best.best, best.epoch) == (0.4, 2)


def test_without_a_monitored_quantity_the_last_weights_are_the_best(network, tmp_path):
    best = BestWeights(tmp_path, None)
    model = keras.models.clone_model(network)
    best.set_model(model)
    for epoch in range(3):
        model.set_weights([np.full(weight.shape, epoch) for weight in model.get_weights()])
        best.on_epoch_end(epoch, {"loss": 1 - epoch})
    assert best.epoch == 3
    best.load()
    assert all(np.all(weight == 2) for weight in model.get_weights())
