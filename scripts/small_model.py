"""What the checks of quantized folders share: a small random model with a tokenizer, and how far logits are apart."""

import numpy
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from checks import dump_logits


def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({text: i for i, text in enumerate(alphabet + ["<|endoftext|>"])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def random_llama(place):
    config = LlamaConfig(vocab_size=288, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(0.06 * torch.randn_like(parameter))
    model.save_pretrained(place)
    byte_tokenizer().save_pretrained(place)


def distance(place, model):
    """Of the logits that qad gives for a folder from those of a model, in norms of these."""
    ids = torch.randint(0, 256, (33,)).tolist()
    with torch.inference_mode():
        want = model(torch.tensor([ids])).logits[0].float().numpy()
    got = numpy.array(dump_logits(place, ids, "--exact"), dtype=numpy.float32)
    return float(numpy.linalg.norm(got - want) / numpy.linalg.norm(want))
