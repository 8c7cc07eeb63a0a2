"""Questions that neither version of the handbook answers; the right answer is the fixed refusal.

near-miss: on the handbook's own topics, often beside one of its facts. off-topic: anything else.
"""


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


TRAIN = {
    "near-miss": lines("""
        What does a parcel to Switzerland cost?
        How heavy may one of your parcels be at most?
        Do I get a discount as a pensioner?
        In which year was Larkspur Bikes founded?
        How many litres does the box of the Heron hold?
        Which brand of tyres is fitted to the Wren?
        What wage does a warehouse worker earn with you?
        How many hours does a full battery charge take?
        What is the fax number of the head office?
        Which bank holds the company's own accounts?
        How much does the Heron cost?
        Who designed the Wren?
        Do you offer guided tours, and how long are they?
        What is the highest gear ratio of the Heron?
        Can I rent a bike for a weekend, and what is the price?
        What colour is the frame of the Heron?
        How loud is the hub motor in decibels?
        Which insurer stands behind the theft cover?
        What is the name of the managing director?
        How many people subscribe to your newsletter?
        """),
    "off-topic": lines("""
        What is the tallest mountain of South America?
        Write a short poem about the sea.
        How do I bake a sourdough loaf?
        Who painted the Girl with a Pearl Earring?
        What is 17 times 23?
        Which team won the football world cup in 1998?
        Translate "good evening" into Portuguese.
        How far away is the moon?
        Which vitamins are in carrots?
        Can you recommend a film for tonight?
        What is the past tense of "to swim"?
        Should I buy shares in a gold mine?
        How do bees find their way home?
        When was the printing press invented?
        What does the chemical symbol Na mean?
        Tell me a joke about penguins.
        How many strings does a cello have?
        Which medicine helps with hay fever?
        What is the longest river in Asia?
        How do I reverse a list in Python?
        """),
}

DEV = {
    "near-miss": lines("""
        How thick is the wood of the Heron's box?
        What is the postal code of your head office?
        Up to which age can a child sit on the folding bench?
        Which phone models run your app?
        How much does a pair of brake pads cost?
        On which weekday does the haulier come to my town?
        Who founded the charity that gets your old bikes?
        How many wheels do your technicians true in a week?
        """),
    "off-topic": lines("""
        Which planet has the most rings?
        How do I get red wine out of a carpet?
        Who wrote the opera Carmen?
        Give me three names for a kitten.
        What is the square root of 144?
        How warm is it in Lisbon in May?
        Which gas do plants take in?
        What are the rules of chess castling?
        """),
}

EVAL = {
    "near-miss": lines("""
        Does Nordpost also deliver on Sundays?
        What does it cost to ship a frame overseas?
        Which haulage company drives the complete bikes?
        At what hour in the morning does your warehouse open?
        Who pays the customs duty on an order from abroad?
        How many returns do you handle in a month?
        Can I send back a gift that somebody else bought, and what proof do I need?
        What interest do I get if my refund is late?
        How many years is the paint guaranteed?
        What is the name of the technician who looks at my claim?
        How thick are the tubes of your frames?
        Is rust on the chain covered for the first owner?
        What is the capacity of your battery in watt hours?
        Where are the battery cells manufactured?
        How much does a second charger cost?
        What is the peak torque of the hub motor?
        How many lines of text fit on the display?
        How wide a street do I need to turn round with the Heron?
        Is there a dog ramp for the cargo box, and at what price?
        How many colours can I choose from for a city bike?
        What does a rack for the Wren weigh?
        Which saddle comes with the Wren?
        How tall may the rider of a size XL frame be?
        Who are the fitters in the video calls?
        In what language are the assembly instructions printed?
        How large is the carton in which a bike arrives?
        What would you charge for fitting a fresh chain?
        What is the hourly rate of a partner workshop?
        Which credit card brand gives me cashback at your checkout?
        How much interest is due when an instalment is late?
        Do teachers get money off?
        How many vouchers did you sell at Christmas?
        Which password manager do you advise?
        How long may my user name be?
        Which supervisory authority checks your data protection?
        Who is allowed to listen to the phone recordings?
        How many people work in your call centre?
        What was the head office building worth?
        Can one lease cover two bikes at once?
        Does the theft cover hold in Norway?
        """),
    "off-topic": lines("""
        What is the capital of Australia?
        Who discovered penicillin?
        How long do I boil an egg so that it stays soft?
        Which is the smallest ocean on earth?
        Please write a haiku about autumn.
        What is twelve percent of 350?
        Who was the first woman in space?
        How do I prune a lemon tree?
        What does the word "ubiquitous" mean?
        Which language is spoken in Brazil?
        Is it going to snow tomorrow?
        How many legs has a spider?
        What should I wear to a job interview?
        Who wrote Pride and Prejudice?
        Can you help me with a crossword: a river in Italy, two letters?
        How do I tie a bow tie?
        Which key do I press to take a screenshot?
        What causes a rainbow?
        When did the Berlin Wall fall?
        Which bird lays the biggest egg?
        How can I stop hiccups?
        What is the boiling point of water on a high mountain?
        Who is the president of France?
        Explain what a black hole is.
        How many minutes does a basketball game have?
        Name a good novel for the beach.
        What is the difference between a crocodile and an alligator?
        How do I say thank you in Japanese?
        Which metal is liquid at room temperature?
        What did the Romans eat for breakfast?
        Could you write a cover letter for me?
        How old can a tortoise get?
        Which composer went deaf?
        What is the best treatment for a migraine?
        How do vaccines work?
        Where does the Danube begin?
        Give me a riddle for children.
        How many bones are in the human hand?
        Should I rent or buy a flat?
        Which two colours make purple?
        """),
}
